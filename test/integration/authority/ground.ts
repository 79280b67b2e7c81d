import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { only } from '../../bed/assertions.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { sample } from '../../bed/effort.js';
import { attachLoop, devnumOf, makeImage } from '../../bed/images.js';
import { linear } from '../../bed/mapper.js';
import { assertNeverBeside } from '../../bed/open-devices.js';
import { setLoopWindow } from '../block/loop/loop-changes.js';
import { type HotplugFixture, MARKER, on } from '../hotplug/fixture.js';
import { swapTable, withMapper } from '../mapper/bench.js';

/** The kind of a target. */
export type Kind = 'file' | 'disk' | 'mapper';
/** The blkback that a bed imitates: the stock driver, or the driver with the diskseq series. */
export type Guise = 'stock' | 'diskseq';

/** By hand each row runs with the stock blkback only. CI runs each row with both. */
export const GUISES: readonly Guise[] = sample(['stock', 'diskseq'], 2);

/** The bytes that two guests want to have. */
export interface Ground {
  readonly kind: Kind;
  /** The path of the file or of the block device. */
  readonly path: string;
  /**
   * The kernel's name and number of the device, if there is a device before anything is attached.
   */
  readonly device: { readonly path: string; readonly devnum: string } | undefined;
  /**
   * Changes what lies below the device while the device is open, so that the device no longer is
   * what was asked for.
   */
  disturb(): Promise<void>;
}

/** A test body with its fixture and its ground. */
export type Body = (fixture: HotplugFixture, ground: Ground) => Promise<void>;

/**
 * Returns a test with a file, a disk (a loop device of the test's own) or a mapper device. At its
 * end nothing is held up any more, the vbds end as libxl ends them, nothing is left behind, and
 * blkback has never had the same bytes open for two guests at once.
 */
export function withGround(kind: Kind, behaviour: BlkbackBehaviour, body: Body): Mocha.AsyncFunc {
  if (kind === 'mapper') {
    return withMapper(behaviour, async (fixture, bench) => {
      const other = await bench.disk('another disk');
      const { path, name, kernelPath, devnum } = await bench.linear(MARKER);
      const disturb = async () => swapTable(name, linear(other.path));
      await carefully(fixture, body, {
        ...{ kind, path, disturb },
        device: { path: kernelPath, devnum },
      });
    });
  }
  return on(behaviour, async (fixture) => {
    const whole = async (ground: Omit<Ground, 'disturb'>, loop: () => string) => {
      const disturb = () => setLoopWindow(loop(), { offset: 4096n });
      await carefully(fixture, body, { ...ground, disturb });
      await fixture.destroyVbds();
    };
    if (kind === 'file') {
      const path = fixture.image();
      await whole({ kind, path, device: undefined }, () => only(fixture.loops()));
      return;
    }
    const directory = join(fixture.bed.directory, 'disks');
    mkdirSync(directory);
    await using loop = await attachLoop(makeImage(directory, { marker: MARKER }));
    const { path, devnum } = loop;
    await whole({ kind, path, device: { path, devnum } }, () => path);
  });
}

async function carefully(fixture: HotplugFixture, body: Body, ground: Ground): Promise<void> {
  try {
    await body(fixture, ground);
  } finally {
    for (const what of ['events', 'open', 'close'] as const)
      await fixture.blkback.release(what, '*');
  }
  assertNeverBeside(fixture.blkback.log());
}

/**
 * Binds a file to a loop device whose number has a letter in hex. The caller detaches it with
 * `losetup`.
 */
export function attachLoopWithLetter(file: string): { path: string; devnum: string } {
  for (let number = 26; number < 1024; number += 16) {
    const path = `/dev/loop${number}`;
    if (existsSync(`/sys/block/loop${number}/loop`)) continue;
    if (spawnSync('losetup', [path, file]).status !== 0) continue;
    // Another process may have bound this device first.
    const backing = readFileSync(`/sys/block/loop${number}/loop/backing_file`, 'utf8');
    if (backing.trim() === file) return { path, devnum: devnumOf(path) };
  }
  throw new Error('there is no free loop device');
}
