import { once } from 'node:events';
import { setPriority } from 'node:os';
import { type Child, startChild } from './child.js';
import { devnumOf } from './images.js';
import { built } from './paths.js';

/** The counts of what the bystander has done. */
export interface MapperChurnCount {
  readonly made: number;
  readonly removed: number;
  /** How often the bystander could not remove a device because another process had it open. */
  readonly busy: number;
}

/** The first minor number. It is far from the numbers that the kernel assigns by itself. */
const FIRST_MINOR = 600;

/**
 * A process that removes mapper devices and makes them anew under the same names and numbers, as
 * fast as it can. The mapper device with a certain name always lies over the same device.
 */
export class MapperChurn {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /**
   * Starts the process. `bases` maps names to the devices below. With a `niceness` above 0, the
   * program under test makes progress even on one CPU.
   */
  static async start(
    bases: ReadonlyMap<string, string>,
    sectors: number,
    niceness: number,
  ): Promise<MapperChurn> {
    const list = [...bases].map(([name, path]) => `${name}=${decimal(devnumOf(path))}`);
    const args = [String(FIRST_MINOR), String(sectors), ...list];
    const child = await startChild(built('mapper-churn'), args, {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    setPriority(child.pid, niceness);
    return new MapperChurn(child);
  }

  /** Ends the process, which removes its devices first, and returns its counts. */
  async stop(): Promise<MapperChurnCount> {
    const { process, end } = this.#child;
    let text = '';
    process.stdout?.setEncoding('utf8').on('data', (more: string) => {
      text += more;
    });
    const closed = once(process, 'close');
    process.ref();
    process.kill('SIGTERM');
    await closed;
    const [, made, removed, busy] = /made (\d+) removed (\d+) busy (\d+)/.exec(text) ?? [];
    if (busy === undefined) throw new Error(`the bystander ${end()} and said ${text}`);
    return { made: Number(made), removed: Number(removed), busy: Number(busy) };
  }
}

/** Converts a device number such as `7:1f` to the form of the mapper's table, `7:31`. */
function decimal(devnum: string): string {
  return devnum
    .split(':')
    .map((part) => String(Number.parseInt(part, 16)))
    .join(':');
}
