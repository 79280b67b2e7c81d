import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { on } from '../hotplug/fixture.js';

describe('xen-blkback check', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'says who has it, in the words in which add refuses it',
    on({}, async (fixture) => {
      await fixture.store.write('/local/domain/7/name', 'work');
      const image = fixture.image('a disk', { name: 'root.img' });
      const first = await fixture.vbd(image);
      await fixture.attach(first);

      const checked = await fixture.cli(['check', image, '--mode', 'w', '--frontend', '9']);
      const reason = `${image} is attached read-write to domain 7 (work) as xvda; so domain 9 cannot have it read-write (sharing=allow would not ask)`;
      assert.deepEqual([checked.status, checked.stdout], [3, `${reason}\n`]);

      const second = await fixture.vbd(image, { frontend: 9 });
      const error = await failure('EBUSY', fixture.attach(second));
      assert.equal(error.message, reason);
      // The guest can read this node. It learns about its own disk, and about no other guest.
      assert.deepEqual(await fixture.nodes(second, 'hotplug-status', 'hotplug-error'), [
        'busy',
        'vbd 51728: its disk cannot be had read-write, as others use the same bytes; the log of the backend domain says who',
      ]);
      const script = await fixture.script(second, 'add');
      assert.equal(script.status, 1);
      assert.ok(script.stderr.includes(reason), script.stderr);

      const json = await fixture.cli(['check', image, '--mode', 'r', '--json']);
      const { verdict, sharing, conflicts } = JSON.parse(json.stdout);
      assert.deepEqual([json.status, verdict, sharing, conflicts.length], [3, 'busy', 'deny', 1]);
      const [{ kind, access, domid, domain, backend }] = conflicts;
      assert.deepEqual(
        [kind, access, domid, domain, backend],
        ['guest', 'read-write', 7, 'work', first.backendPath],
      );
    }),
  );

  it(
    'says that it can be attached, and leaves nothing behind',
    on({}, async (fixture) => {
      const image = fixture.image();
      const free = await fixture.cli(['check', image, '--mode', 'w']);
      assert.deepEqual(
        [free.status, free.stdout, free.stderr],
        [0, `${image} can be attached read-write\n`, ''],
      );
      assert.deepEqual(readdirSync(fixture.bed.runDirectory), []);
      assert.equal(existsSync(fixture.bed.logFile), false);
      assert.deepEqual(fixture.loops(), []);
      const { verdict, conflicts } = JSON.parse(
        (await fixture.cli(['check', image, '--mode', 'r', '--json'])).stdout,
      );
      assert.deepEqual([verdict, conflicts], ['free', []]);
    }),
  );

  it(
    'follows target, setting and kinship',
    on({}, async (fixture) => {
      const image = fixture.image();
      await fixture.store.write('/local/domain/7/vm', '/vm/a');
      await fixture.store.write('/local/domain/8/vm', '/vm/a');
      await fixture.attach(await fixture.vbd(image));
      const verdict = async (args: readonly string[], env = {}) =>
        (await fixture.cli(['check', ...args], env)).status;
      const statuses = await Promise.all([
        verdict([image, '--mode', 'w']),
        verdict([image, '--mode', 'w', '--frontend', '8']),
        verdict([image, '--mode', 'w', '--frontend', '7']),
        verdict([`path=${image},sharing=allow`, '--mode', 'w']),
        verdict([image, '--mode', 'r', '--sharing', 'read-only']),
        verdict([image, '--mode', 'r'], { XEN_BLKBACK_SHARING: 'allow' }),
      ]);
      assert.deepEqual(statuses, [3, 0, 0, 0, 0, 0]);
    }),
  );

  it(
    'fails, as add would, for what is wrong in itself',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image(), { readOnly: true });
      const wrong = [
        [['/nonexistent', '--mode', 'r'], 1, /no such file/],
        [['relative', '--mode', 'r'], 1, /\/dev\/relative: no such file/],
        [['phy:relative', '--mode', 'r'], 2, /leave phy: out/],
        [[loop.path, '--mode', 'w'], 1, /is read-only/],
        [[`path=${loop.path},diskseq=1`, '--mode', 'r'], 1, /diskseq 1 was expected/],
        [[fixture.image(), '--mode', 'x'], 2, /mode/],
        [[fixture.image(), '--mode', 'r', '--frontend', 'x'], 2, /frontend "x"/],
      ] as const;
      await Promise.all(
        wrong.map(async ([args, expected, words]) => {
          const { status, stderr, stdout } = await fixture.cli(['check', ...args]);
          assert.deepEqual([status, stdout], [expected, ''], stderr);
          assert.match(stderr, words);
        }),
      );
    }),
  );
});
