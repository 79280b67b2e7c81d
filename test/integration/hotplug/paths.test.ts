import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { failure, only } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { CLI } from '../../bed/script.js';
import { type HotplugFixture, MARKER, on } from './fixture.js';

/** Creates a vbd whose `params` has these bytes. */
async function vbdFor(fixture: HotplugFixture, params: Buffer) {
  const vbd = await fixture.vbd('/x');
  await fixture.store.write(`${vbd.backendPath}/params`, params);
  return vbd;
}

describe('A path in params', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  const names: readonly (readonly [string, Buffer])[] = [
    ['a blank at its end', Buffer.from('image ')],
    ['a tab at its end', Buffer.from('image\t')],
    ['a newline at its end', Buffer.from('image\n')],
    ['255 bytes', Buffer.from('i'.repeat(255))],
    ['Latin-1 letters', Buffer.from('caf\xe9', 'latin1')],
    ['every byte that a name can have', bytesOfAName()],
  ];
  for (const [what, name] of names) {
    it(
      `has ${what}: the file is attached, and detached where remove has to find its loop device`,
      on({}, async (fixture) => {
        const path = Buffer.concat([Buffer.from(`${fixture.bed.images}/`), name]);
        renameSync(fixture.image(MARKER), path);
        const escaped = path.toString('latin1').replaceAll(',', '\\,');
        const vbd = await vbdFor(fixture, Buffer.from(`path=${escaped},autoclear=no`, 'latin1'));
        await fixture.attach(vbd);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        assert.equal((await fixture.attach(vbd)).already, true);
        await fixture.close(vbd);
        // Without a record, as after Xen's own script, only the backing file tells whose device it
        // is.
        for (const record of fixture.records()) rmSync(join(fixture.bed.runDirectory, record));
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );
  }

  it(
    'is quoted in the sentence of a refusal where it has odd bytes in it',
    on({}, async (fixture) => {
      const path = Buffer.from(`${fixture.bed.images}/caf\xe9 \n`, 'latin1');
      const error = await failure('ENOENT', fixture.attach(await vbdFor(fixture, path)));
      assert.ok(error.message.includes(`"${fixture.bed.images}/caf\\xe9 \\n"`), error.message);
    }),
  );

  it(
    'may have any bytes also on the command line',
    on({}, async (fixture) => {
      const path = Buffer.from(`${fixture.bed.images}/caf\xe9\xff`, 'latin1');
      renameSync(fixture.image(MARKER), path);
      const ask = (words: string): SpawnSyncReturns<string> => {
        const file = `"$(printf '${fixture.bed.images}/caf\\351\\377')"`;
        const env = { ...process.env, ...fixture.bed.env };
        const script = `exec '${CLI}' ${words.replace('FILE', file)}`;
        return spawnSync('sh', ['-c', script], { env, encoding: 'latin1' });
      };
      const shown = `"${fixture.bed.images}/caf\\xe9\\xff"`;
      const free = ask('check FILE --mode r');
      assert.deepEqual(
        [free.status, free.stdout, free.stderr],
        [0, `${shown} can be attached read-only\n`, ''],
      );
      const vbd = await vbdFor(fixture, path);
      await fixture.attach(vbd);
      const busy = ask('check FILE');
      assert.equal(busy.status, 3, busy.stderr);
      const inspected = ask('inspect FILE');
      assert.equal(inspected.status, 3, inspected.stderr);
      assert.match(inspected.stdout, /^target +\/.*caf\\xe9\\xff$/m);
      assert.equal(ask('list --uses FILE -n -o vbd').stdout, `${vbd.key}\n`);
      const missing = ask('check "$(printf "/caf\\351")"');
      assert.equal(
        missing.stderr,
        'xen-blkback: open "/caf\\xe9": no such file or directory (ENOENT)\n',
      );
    }),
  );

  it(
    'is one below /dev where it is relative',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image(MARKER));
      const vbd = await fixture.vbd(basename(loop.path));
      await fixture.attach(vbd);
      await fixture.assertConnected(vbd, loop.path);
      await fixture.delete(vbd);
      const wrong = await fixture.vbd('vg-gone/root');
      assert.match(
        (await failure('ENOENT', fixture.attach(wrong))).message,
        /\/dev\/vg-gone\/root/,
      );
    }),
  );

  it(
    'leads through no symbolic link with symlinks=no, neither as the last part nor on the way',
    on({}, async (fixture) => {
      const image = fixture.image(MARKER);
      const link = join(fixture.bed.images, 'link');
      const way = join(fixture.bed.images, 'way');
      symlinkSync(image, link);
      symlinkSync(dirname(image), way);
      for (const path of [link, join(way, basename(image))]) {
        const refused = await fixture.vbd(`path=${path},symlinks=no`);
        const error = await failure('ELOOP', fixture.attach(refused));
        assert.ok(error.message.includes(path), error.message);
        assert.match(error.message, /symlinks=no/);
        const vbd = await fixture.vbd(`path=${path},symlinks=yes`);
        await fixture.attach(vbd);
        await fixture.delete(vbd);
      }
      const vbd = await fixture.vbd(`path=${image},symlinks=no`);
      await fixture.attach(vbd);
      await fixture.assertConnected(vbd, only(fixture.loops()));
    }),
  );
});

function bytesOfAName(): Buffer {
  const bytes = Array.from({ length: 255 }, (_, index) => index + 1);
  return Buffer.from(bytes.filter((byte) => byte !== 0x2f));
}
