import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { O_PATH, O_RDONLY, OwnedFd } from '../../../src/linux/fd.js';
import { type HungEntry, noteHungCall } from '../../../src/linux/hung-calls.js';
import { decodePath } from '../../../src/util/path-bytes.js';
import { temporaryDirectory } from '../../bed/paths.js';

describe('A path that is opened', () => {
  let directory = '';
  before(() => {
    directory = temporaryDirectory();
    mkdirSync(join(directory, 'there'));
    writeFileSync(join(directory, 'there/file'), 'x');
    writeFileSync(Buffer.concat([Buffer.from(`${directory}/caf`), Buffer.of(0xe9)]), 'x');
    symlinkSync('there', join(directory, 'way'));
    symlinkSync('there/file', join(directory, 'link'));
    symlinkSync(Buffer.from('caf\xe9', 'latin1'), join(directory, 'odd'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const [how, hangs] of [
    ['at once', 0],
    ['step by step, as some file system hangs', 8],
  ] as const) {
    describe(how, () => {
      let hung: HungEntry[] = [];
      beforeEach(() => {
        const place = { key: 'elsewhere', description: 'elsewhere' };
        const call = { syscall: 'open', object: '/elsewhere', place, since: 0 };
        hung = Array.from({ length: hangs }, () => noteHungCall(call, undefined));
      });
      afterEach(() => hung.forEach((entry) => void entry.end()));

      const open = (name: string, symlinks: boolean, flags = O_PATH): Promise<OwnedFd> =>
        OwnedFd.open(join(directory, name), flags, { symlinks });

      it('leads through symbolic links', async () => {
        for (const name of ['there/file', 'way/file', 'link', 'odd']) {
          await using fd = await open(name, true);
          assert.equal((await fd.stat()).size, 1n, name);
        }
      });

      it('is refused with ELOOP where it must not', async () => {
        await using fd = await open('there/file', false, O_RDONLY);
        assert.equal((await fd.stat()).size, 1n);
        for (const name of ['way/file', 'link', 'odd']) {
          await assert.rejects(open(name, false), { code: 'ELOOP' });
        }
        await assert.rejects(open('there/none', false), { code: 'ENOENT' });
      });

      it('is any bytes', async () => {
        const name = decodePath(Buffer.from('caf\xe9', 'latin1'));
        await using fd = await open(name, false);
        assert.equal((await fd.stat()).size, 1n);
        await assert.rejects(open('caf\ufffd', true), { code: 'ENOENT' });
      });
    });
  }
});
