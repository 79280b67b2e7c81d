import assert from 'node:assert/strict';
import { renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { failure, MARKER, on, only, type Stage } from './stage.js';

/** A vbd whose `params` is these bytes. */
async function vbdFor(stage: Stage, params: Buffer) {
  const vbd = await stage.vbd('/x');
  await stage.store.write(`${vbd.backendPath}/params`, params);
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
      on({}, async (stage) => {
        const path = Buffer.concat([Buffer.from(`${stage.bed.images}/`), name]);
        renameSync(stage.image(MARKER), path);
        const escaped = path.toString('latin1').replaceAll(',', '\\,');
        const vbd = await vbdFor(stage, Buffer.from(`path=${escaped},autoclear=no`, 'latin1'));
        await stage.attach(vbd);
        assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
        assert.equal((await stage.attach(vbd)).already, true);
        await stage.close(vbd);
        // As where Xen's own script has attached it: nothing but the file tells whose device it is.
        for (const record of stage.records()) rmSync(join(stage.bed.runDirectory, record));
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );
  }

  it(
    'is quoted in the sentence of a refusal where it has odd bytes in it',
    on({}, async (stage) => {
      const path = Buffer.from(`${stage.bed.images}/caf\xe9 \n`, 'latin1');
      const error = await failure('ENOENT', stage.attach(await vbdFor(stage, path)));
      assert.ok(error.message.includes(`"${stage.bed.images}/caf\\xe9 \\n"`), error.message);
    }),
  );

  it(
    'is one below /dev where it is relative',
    on({}, async (stage) => {
      await using loop = await attachLoop(stage.image(MARKER));
      const vbd = await stage.vbd(basename(loop.path));
      await stage.attach(vbd);
      await stage.assertConnected(vbd, loop.path);
      await stage.delete(vbd);
      const wrong = await stage.vbd('vg-gone/root');
      assert.match((await failure('ENOENT', stage.attach(wrong))).message, /\/dev\/vg-gone\/root/);
    }),
  );

  it(
    'leads through no symbolic link with symlinks=no, neither as the last part nor on the way',
    on({}, async (stage) => {
      const image = stage.image(MARKER);
      const link = join(stage.bed.images, 'link');
      const way = join(stage.bed.images, 'way');
      symlinkSync(image, link);
      symlinkSync(dirname(image), way);
      for (const path of [link, join(way, basename(image))]) {
        const refused = await stage.vbd(`path=${path},symlinks=no`);
        const error = await failure('ELOOP', stage.attach(refused));
        assert.ok(error.message.includes(path), error.message);
        assert.match(error.message, /symlinks=no/);
        const vbd = await stage.vbd(`path=${path},symlinks=yes`);
        await stage.attach(vbd);
        await stage.delete(vbd);
      }
      const vbd = await stage.vbd(`path=${image},symlinks=no`);
      await stage.attach(vbd);
      await stage.assertConnected(vbd, only(stage.loops()));
    }),
  );
});

function bytesOfAName(): Buffer {
  const bytes = Array.from({ length: 255 }, (_, index) => index + 1);
  return Buffer.from(bytes.filter((byte) => byte !== 0x2f));
}
