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

/** Runs a program, and rejects if it fails. */
export const run = promisify(execFile);

/**
 * Makes a directory for the images of a suite before the suite, and removes it afterwards. After
 * each test, no loop device over a file in it may be left.
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
 * Returns the loop devices over files in the directory that are left after 2 s, though nothing here
 * has them open any more. A process that looked for a free device a moment ago may still have one
 * open, only to find that it is taken.
 */
export async function loopsLeft(directory: string): Promise<string[]> {
  for (let ms = 1; loopsOf(directory).length > 0 && ms < 2000; ms *= 2) await pause(ms);
  return loopsOf(directory);
}

type Changes = Partial<Omit<ExportRequest, 'locator' | 'file'> & ExportRequest['file']>;

/**
 * Returns a request for a path or a disk, which is writable and has every default except for the
 * changes.
 */
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

/** Returns the text at a byte position of an open device, read through its descriptor. */
export function textAt(device: BlockDevice, position: number, length: number): string {
  const buffer = Buffer.alloc(length);
  assert.equal(readSync(device.fd.fd, buffer, 0, length, position), length);
  return buffer.toString();
}

/** Returns an attribute in sysfs of the block device with this path. */
export function attribute(path: string, name: string): string {
  return readFileSync(`/sys/class/block/${basename(path)}/${name}`, 'utf8').trim();
}

/** A mounted file system. It is unmounted when it is disposed. */
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
