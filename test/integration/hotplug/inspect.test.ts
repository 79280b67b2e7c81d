import assert from 'node:assert/strict';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { MARKER, on } from './fixture.js';

describe('xen-blkback inspect', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'tells that a file can be attached, and makes nothing of it',
    on({}, async (fixture) => {
      const { status, stdout } = await fixture.cli(['inspect', fixture.image()]);
      assert.equal(status, 0);
      assert.match(stdout, /kind +regular file, becomes a loop device\n/);
      assert.match(stdout, /verdict +can be attached read-write\n/);
      assert.deepEqual(fixture.loops(), []);
    }),
  );

  it(
    'tells what a loop device stands on, and who holds it',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using loop = await attachLoop(image);
      const { status, stdout } = await fixture.cli(['inspect', loop.path, '--json', '--mode', 'r']);
      assert.equal(status, 0);
      const { stack, verdict, kind, mode } = JSON.parse(stdout);
      assert.deepEqual([kind, mode, verdict], ['block', 'r', 'free']);
      assert.deepEqual([stack.path, stack.kind, stack.diskseq], [loop.path, 'loop', loop.diskseq]);
      assert.ok(stack.detail.includes(image));
    }),
  );

  it(
    'gives the sentence that add would give, and says no with its exit status',
    on({}, async (fixture) => {
      const image = fixture.image(MARKER, { size: 1024 });
      const { status, stdout, stderr } = await fixture.cli([
        'inspect',
        `path=${image},offset=4096`,
      ]);
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
    on({}, async (fixture) => {
      const image = fixture.image();
      await fixture.attach(await fixture.vbd(image));
      const { status, stdout } = await fixture.cli(['inspect', image, '--frontend', '9']);
      assert.equal(status, 3);
      assert.match(stdout, /verdict +.*is attached read-write to domain 7/);
    }),
  );

  it(
    'fails with a sentence for what is no target, or leads nowhere',
    on({}, async (fixture) => {
      for (const [target, expected] of [
        ['/nowhere', 1],
        ['path=relative', 2],
        ['layer=linear', 2],
      ] as const) {
        const { status, stdout, stderr } = await fixture.cli(['inspect', target]);
        assert.deepEqual([status, stdout], [expected, ''], target);
        assert.match(stderr, /^xen-blkback: .+\n$/);
      }
    }),
  );
});
