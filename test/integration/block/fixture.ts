import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, readSync, rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { BlockDevice } from '../../../src/block/block-device.js';
import type { ExportRequest } from '../../../src/block/open-export.js';
import { pause } from '../../../src/util/retry.js';
import { loopsOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';

export const run = promisify(execFile);

/**
 * A directory for the images of a suite, made before it and removed after it. After each test no
 * loop device over a file in it may be left.
 */
export function fixture(): { readonly directory: string } {
  let directory = '';
  before(function () {
    needs(this, 'root', 'loop');
    directory = temporaryDirectory();
  });
  afterEach(async () => {
    const left = await loopsLeft(directory);
    for (const path of left) await run('losetup', ['--detach', path]);
    assert.deepEqual(left, [], 'loop devices were left behind');
  });
  after(async () => {
    if (directory !== '') await rm(directory, { recursive: true, force: true });
  });
  return {
    get directory() {
      return directory;
    },
  };
}

/**
 * Loop devices over files in the directory that stay, though nothing here has them open any more.
 * Whoever looked for a free device a moment ago may still have one of them open, to find it taken.
 */
export async function loopsLeft(directory: string): Promise<string[]> {
  for (let ms = 1; loopsOf(directory).length > 0 && ms < 2000; ms *= 2) await pause(ms);
  return loopsOf(directory);
}

type Changes = Partial<Omit<ExportRequest, 'locator' | 'file'> & ExportRequest['file']>;

/** A request for a path or a disk, writable and with every default, but for the changes. */
export function request(where: string | ExportRequest['locator'], changes: Changes = {}) {
  const { diskseq, writable = true, fileOnly = [], ...others } = changes;
  const { mapperOnly = [], verityRoot, layer, ...file } = others;
  return {
    locator: typeof where === 'string' ? { path: where } : where,
    diskseq,
    writable,
    fileOnly,
    mapperOnly,
    verityRoot,
    layer,
    file: { offset: 0n, size: undefined, blockSize: 512, directIo: 'no', ...file },
  } as const satisfies ExportRequest;
}

/** Text that stands at a byte of an open device, read through its descriptor. */
export function textAt(device: BlockDevice, position: number, length: number): string {
  const buffer = Buffer.alloc(length);
  assert.equal(readSync(device.fd.fd, buffer, 0, length, position), length);
  return buffer.toString();
}

/** An attribute of a block device in sysfs, by the device's path. */
export function attribute(path: string, name: string): string {
  return readFileSync(`/sys/class/block/${basename(path)}/${name}`, 'utf8').trim();
}

/** A file system that is there as long as it is in use. */
export interface Mount extends AsyncDisposable {
  readonly directory: string;
}

/** Mounts `device`, or an empty file system, on a new directory below `parent`. */
export async function mountNew(type: string, parent: string, device = 'none'): Promise<Mount> {
  const directory = join(parent, `mount-${type}`);
  mkdirSync(directory);
  await run('mount', ['-t', type, device, directory]);
  return {
    directory,
    [Symbol.asyncDispose]: async () => {
      await run('umount', [directory]);
      rmdirSync(directory);
    },
  };
}
