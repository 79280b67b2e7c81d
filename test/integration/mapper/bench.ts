import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errorCode } from '../../../src/errors.js';
import { pause } from '../../../src/util/retry.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { attachLoop, type Loop, loopsLeft, makeImage } from '../../bed/images.js';
import {
  createMapped,
  dmsetup,
  linear,
  type Mapped,
  type MappedOptions,
  mappedLeft,
  mappedNames,
} from '../../bed/mapper.js';
import { type HotplugFixture, on } from '../hotplug/fixture.js';

let serial = 0;

/** The loop and mapper devices that a test made on a fixture; they go when its vbds have gone. */
export class Bench implements AsyncDisposable {
  readonly #directory: string;
  readonly #made: (Mapped | Loop)[] = [];

  constructor(fixture: HotplugFixture) {
    // Beside the fixture's images: what stands on those is the project's doing.
    this.#directory = join(fixture.bed.directory, 'disks');
    mkdirSync(this.#directory);
  }

  /** A loop device over a new file with this marker. */
  async disk(
    marker: string,
    { size, ...options }: { size?: number } & Parameters<typeof attachLoop>[1] = {},
  ): Promise<Loop> {
    return await this.loop(this.file(marker, size), options);
  }

  /** A loop device over a file. */
  async loop(file: string, options: Parameters<typeof attachLoop>[1] = {}): Promise<Loop> {
    return this.#keep(await attachLoop(file, options));
  }

  /** A file that `fixture.loops()` does not ask for. */
  file(marker: string, size = 1024 * 1024): string {
    return makeImage(this.#directory, { marker, size });
  }

  async mapped(name: string, table: string, options: MappedOptions = {}): Promise<Mapped> {
    return this.#keep(await createMapped(name, table, options));
  }

  /** A mapper device of one linear target, of a name of its own, over a new disk. */
  async linear(marker: string, options: MappedOptions & { name?: string } = {}): Promise<Mapped> {
    const disk = await this.disk(marker);
    return this.mapped(options.name ?? `bench-${serial++}`, linear(disk.path), options);
  }

  /** Mapper devices, and loop devices of this bench, that do not go by themselves. */
  mappedLeft(): Promise<string[]> {
    return mappedLeft(...(before?.mapped ?? []));
  }

  loopsLeft(): Promise<string[]> {
    return loopsLeft(this.#directory);
  }

  #keep<T extends Mapped | Loop>(device: T): T {
    this.#made.push(device);
    return device;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.#made.reverse()) await device[Symbol.asyncDispose]();
  }
}

/**
 * A test body on a fixture of its own, with mapper devices. At its end the vbds go, then the devices that
 * the test made, and then there is neither a mapper nor a loop device left that was not there before.
 */
export function withMapper(
  behaviour: BlkbackBehaviour,
  body: (fixture: HotplugFixture, bench: Bench) => Promise<void>,
): Mocha.AsyncFunc {
  return async function (this: Mocha.Context) {
    before ??= { mapped: await mappedNames(), loops: allLoops() };
    const { mapped, loops } = before;
    const whole = on(behaviour, async (fixture) => {
      await using bench = new Bench(fixture);
      try {
        await body(fixture, bench);
      } finally {
        await fixture.destroyVbds();
      }
    });
    try {
      await whole.call(this);
    } catch (error) {
      // What a test that failed leaves behind is nothing for the next one.
      for (const name of await mappedLeft(...mapped)) {
        await dmsetup('resume', name).catch(() => {});
        await dmsetup('remove', '--deferred', name).catch(() => {});
      }
      throw error;
    }
    assert.deepEqual(await mappedLeft(...mapped), []);
    assert.deepEqual(
      allLoops().filter((line) => !loops.includes(line)),
      [],
    );
  };
}

/** The first test's answer is the one for all of them. */
let before: { readonly mapped: string[]; readonly loops: string[] } | undefined;

function allLoops(): string[] {
  return readdirSync('/sys/block').filter((name) => existsSync(`/sys/block/${name}/loop`));
}

/** A layer that the project made. */
export interface Layer {
  readonly name: string;
  readonly uuid: string;
  readonly kernelPath: string;
  /** Of the one target. */
  readonly type: string;
  readonly deferred: boolean;
}

/** Those there are now, as device-mapper shows them. */
export async function layers(): Promise<Layer[]> {
  const found = readdirSync('/sys/block').flatMap((disk) => {
    if (!disk.startsWith('dm-')) return [];
    try {
      const read = (file: string) => readFileSync(`/sys/block/${disk}/dm/${file}`, 'utf8').trim();
      const [name, uuid] = [read('name'), read('uuid')];
      return uuid.startsWith('XENVBD-') ? [{ name, uuid, kernelPath: `/dev/${disk}` }] : [];
    } catch (error) {
      // The kernel has just removed it.
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  });
  return await Promise.all(
    found.map(async (layer) => ({
      ...layer,
      type: (await dmsetup('table', layer.name)).split(' ')[2] ?? '',
      deferred: /DEFERRED REMOVE/.test(await dmsetup('info', layer.name)),
    })),
  );
}

/** Resolves when `check` no longer throws; after 2 s it throws what `check` did. */
export async function settled(check: () => void | Promise<void>): Promise<void> {
  const end = performance.now() + 2000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(20);
    }
  }
}

/** dmsetup from within a callback that cannot wait. */
export function dmsetupNow(...args: string[]): string {
  return execFileSync('dmsetup', args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, DM_DISABLE_UDEV: '1' },
  });
}

/** Exchanges the table of a mapper device that may be open. */
export function swapTable(name: string, table: string, ...options: string[]): void {
  dmsetupNow('load', name, '--table', table, ...options);
  dmsetupNow('resume', name);
}

/**
 * Begins a write to a mapper device that cannot be finished, as a device below is suspended: an exchange of
 * its table waits for it. Resolves when the write is under way, with its end.
 */
export async function beginHangingWrite(
  path: string,
): Promise<{ readonly written: Promise<unknown> }> {
  const write = spawn('dd', ['if=/dev/zero', `of=${path}`, 'oflag=direct', 'count=1'], {
    stdio: 'ignore',
  });
  const written = once(write, 'exit');
  const inFlight = (): string => readFileSync(`/sys/block/${basename(path)}/inflight`, 'utf8');
  while (/^\s*0\s+0\s*$/.test(inFlight())) await pause(20);
  return { written };
}
