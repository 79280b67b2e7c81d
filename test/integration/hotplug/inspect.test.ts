import assert from 'node:assert/strict';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { MARKER, on } from './stage.js';

describe('xen-blkback inspect', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'tells that a file can be attached, and makes nothing of it',
    on({}, async (stage) => {
      const { status, stdout } = await stage.cli(['inspect', stage.image()]);
      assert.equal(status, 0);
      assert.match(stdout, /kind +regular file, becomes a loop device\n/);
      assert.match(stdout, /verdict +can be attached read-write\n/);
      assert.deepEqual(stage.loops(), []);
    }),
  );

  it(
    'tells what a loop device stands on, and who holds it',
    on({}, async (stage) => {
      const image = stage.image();
      await using loop = await attachLoop(image);
      const { status, stdout } = await stage.cli(['inspect', loop.path, '--json', '--mode', 'r']);
      assert.equal(status, 0);
      const { stack, verdict, kind, mode } = JSON.parse(stdout);
      assert.deepEqual([kind, mode, verdict], ['block', 'r', 'free']);
      assert.deepEqual([stack.path, stack.kind, stack.diskseq], [loop.path, 'loop', loop.diskseq]);
      assert.ok(stack.detail.includes(image));
    }),
  );

  it(
    'gives the sentence that add would give, and says no with its exit status',
    on({}, async (stage) => {
      const image = stage.image(MARKER, { size: 1024 });
      const { status, stdout, stderr } = await stage.cli(['inspect', `path=${image},offset=4096`]);
      assert.equal(status, 1);
      assert.match(
        stdout,
        /verdict +.*has 1024 bytes: from offset 4096 on that is less than one block/,
      );
      assert.equal(stderr, '');
    }),
  );

  it(
    'says which guest has the disk already',
    on({}, async (stage) => {
      const image = stage.image();
      await stage.attach(await stage.vbd(image));
      const { status, stdout } = await stage.cli(['inspect', image, '--frontend', '9']);
      assert.equal(status, 3);
      assert.match(stdout, /verdict +.*is attached read-write to domain 7/);
    }),
  );

  it(
    'fails with a sentence for what is no target, or leads nowhere',
    on({}, async (stage) => {
      for (const [target, expected] of [
        ['/nowhere', 1],
        ['path=relative', 2],
        ['layer=linear', 2],
      ] as const) {
        const { status, stdout, stderr } = await stage.cli(['inspect', target]);
        assert.deepEqual([status, stdout], [expected, ''], target);
        assert.match(stderr, /^xen-blkback: .+\n$/);
      }
    }),
  );
});
