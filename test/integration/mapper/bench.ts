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

/**
 * The loop and mapper devices that a test made on a fixture. They go after the vbds of the test.
 */
export class Bench implements AsyncDisposable {
  readonly #directory: string;
  readonly #made: (Mapped | Loop)[] = [];

  constructor(fixture: HotplugFixture) {
    // The files lie beside the fixture's images, because only the project makes devices over those.
    this.#directory = join(fixture.bed.directory, 'disks');
    mkdirSync(this.#directory);
  }

  /** Makes a loop device over a new file with this marker. */
  async disk(
    marker: string,
    { size, ...options }: { size?: number } & Parameters<typeof attachLoop>[1] = {},
  ): Promise<Loop> {
    return await this.loop(this.file(marker, size), options);
  }

  /** Makes a loop device over a file. */
  async loop(file: string, options: Parameters<typeof attachLoop>[1] = {}): Promise<Loop> {
    return this.#keep(await attachLoop(file, options));
  }

  /** Makes a file that `fixture.loops()` does not count. */
  file(marker: string, size = 1024 * 1024): string {
    return makeImage(this.#directory, { marker, size });
  }

  async mapped(name: string, table: string, options: MappedOptions = {}): Promise<Mapped> {
    return this.#keep(await createMapped(name, table, options));
  }

  /** Makes a mapper device of one linear target over a new disk, with a name of its own. */
  async linear(marker: string, options: MappedOptions & { name?: string } = {}): Promise<Mapped> {
    const disk = await this.disk(marker);
    return this.mapped(options.name ?? `bench-${serial++}`, linear(disk.path), options);
  }

  /** Returns the mapper devices that are left although they should have gone by themselves. */
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
 * Returns a test with a fixture and mapper devices of its own. At its end the vbds go, then the
 * devices that the test made. Then no mapper device and no loop device may be left that was not
 * there before.
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
      // The devices of a failed test must not disturb the next test.
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

/** The devices before the first test, for all tests of this process. */
let before: { readonly mapped: string[]; readonly loops: string[] } | undefined;

function allLoops(): string[] {
  return readdirSync('/sys/block').filter((name) => existsSync(`/sys/block/${name}/loop`));
}

/** A layer that the project made. */
export interface Layer {
  readonly name: string;
  readonly uuid: string;
  readonly kernelPath: string;
  /** The type of its only target, such as `linear`. */
  readonly type: string;
  readonly deferred: boolean;
}

/** Returns the layers that exist, as device-mapper shows them. */
export async function layers(): Promise<Layer[]> {
  const found = readdirSync('/sys/block').flatMap((disk) => {
    if (!disk.startsWith('dm-')) return [];
    try {
      const read = (file: string) => readFileSync(`/sys/block/${disk}/dm/${file}`, 'utf8').trim();
      const [name, uuid] = [read('name'), read('uuid')];
      return uuid.startsWith('XENVBD-') ? [{ name, uuid, kernelPath: `/dev/${disk}` }] : [];
    } catch (error) {
      // The kernel has just removed the device.
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

/** Resolves when `check` no longer throws. After 2 s, rejects with the error of `check`. */
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

/** Runs dmsetup in a callback that cannot wait for a promise. Returns its output. */
export function dmsetupNow(...args: string[]): string {
  return execFileSync('dmsetup', args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, DM_DISABLE_UDEV: '1' },
  });
}

/** Exchanges the table of a mapper device, which may be open. */
export function swapTable(name: string, table: string, ...options: string[]): void {
  dmsetupNow('load', name, '--table', table, ...options);
  dmsetupNow('resume', name);
}

/**
 * Begins a write that cannot end, because a device below the mapper device is suspended. An
 * exchange of the mapper device's table waits for this write. Resolves when the write is under way;
 * `written` resolves at its end.
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
