import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import { type FileOpener, listFileOpeners } from '../../../src/block/file-openers.js';
import { devnumFromStat } from '../../../src/linux/devnum.js';
import { makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';

/** Starts a process that has a file open with these flags of Python's module os. */
async function opener(path: string, flags: string, ...args: string[]): Promise<AsyncDisposable> {
  const program = `
import os, time
fd = os.open('${path}', os.${flags})
print('open', flush=True)
time.sleep(1000)`;
  const child = spawn('python3', ['-c', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const closed = once(child, 'close');
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

describe('The processes that have a file open', () => {
  let directory: string;
  let image: string;

  before(function () {
    needs(this, 'root');
  });
  beforeEach(() => {
    directory = temporaryDirectory();
    image = makeImage(directory, { marker: 'x' });
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const list = async (): Promise<FileOpener[]> => {
    const { dev, ino } = statSync(image, { bigint: true });
    return await listFileOpeners(devnumFromStat(dev), ino);
  };

  it('are named, with the guest whose device model each is', async () => {
    await using _model = await opener(image, 'O_RDONLY', '-xen-domid', '12', 'x'.repeat(9000));
    await using _other = await opener(image, 'O_RDWR');
    const found = await list();
    assert.deepEqual(found.map(({ domid }) => domid).sort(), [12, undefined]);
    for (const { pid, name, path } of found) {
      assert.match(name, new RegExp(`^process ${pid} \\(python3`));
      assert.equal(path, image);
    }
  });

  it('are not those that only have a descriptor that stands for it', async () => {
    await using _pin = await opener(image, 'O_PATH');
    assert.deepEqual(await list(), []);
  });
});
