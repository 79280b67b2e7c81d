import { once } from 'node:events';
import { setPriority } from 'node:os';
import { type Child, startChild } from './child.js';
import { devnumOf } from './images.js';
import { built } from './paths.js';

/** What the bystander did. */
export interface MapperChurnCount {
  readonly made: number;
  readonly removed: number;
  /** How often it could not remove a device because somebody had it open. */
  readonly busy: number;
}

/** Far from those that the kernel gives out by itself. */
const FIRST_MINOR = 600;

/**
 * A process that destroys mapper devices and makes them anew under the same names and numbers, as fast as
 * it can. What stands under a name is always the device that is given for it here.
 */
export class MapperChurn {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** `niceness`: on one CPU the other side is to get somewhere, too. */
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

  /** Ends it, when it has taken away what is its own. */
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

/** `7:1f` as the mapper's table has it, `7:31`. */
function decimal(devnum: string): string {
  return devnum
    .split(':')
    .map((part) => String(Number.parseInt(part, 16)))
    .join(':');
}
