import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { startDaemon } from '../../bed/daemon.js';
import { sample } from '../../bed/effort.js';
import { attachLoop } from '../../bed/images.js';
import { assertSchema, mistakes } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { CLI, startProgram } from '../../bed/script.js';
import { withFixture } from './cli-bed.js';

describe('JSON of the commands', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('is what the schema says, which finds what it does not say', () => {
    const devnum = { $ref: '#/$defs/devnum' };
    assert.deepEqual(mistakes(devnum, '7:10', '$'), []);
    for (const wrong of ['7:a', 'fd:0', '7', 7, null]) {
      assert.equal(mistakes(devnum, wrong, '$').length, 1, String(wrong));
    }
    const wait = { $ref: '#/$defs/wait' };
    const good = { version: 1, backend: 'backend/vbd/7/1', opened: true };
    assert.deepEqual(mistakes(wait, good, '$'), []);
    for (const wrong of [{ ...good, version: 2 }, { ...good, more: 1 }, { version: 1 }]) {
      assert.notDeepEqual(mistakes(wait, wrong, '$'), []);
    }
  });

  for (const guise of sample(['diskseq', 'stock'] as const, 2)) {
    it(`fits it through the life of a vbd, ${guise} blkback`, () =>
      withFixture(
        async (fixture) => {
          const json = async (name: string, status: number, ...words: string[]) => {
            const run = await fixture.cli([...words, '--json']);
            assert.equal(run.status, status, `${words.join(' ')}: ${run.stderr}`);
            return assertSchema(name, run.stdout);
          };
          assert.deepEqual(await json('list', 0, 'list'), { version: 1, vbds: [] });
          const image = fixture.image();
          const vbd = await fixture.vbd(image);
          const { key } = vbd;
          const failing = await fixture.vbd('/nonexistent');
          await json('add-dry-run', 0, 'add', key, '--dry-run');
          await json('show', 0, 'show', key);
          await json('check', 0, 'check', image);
          const added = await json('add', 0, 'add', key);
          await json('add', 0, 'add', key);
          await json('error', 1, 'add', failing.key);
          const { vbds } = (await json('list', 0, 'list')) as { vbds: Record<string, unknown>[] };
          // Each command says the same facts in the same words.
          for (const name of ['devnum', 'diskseq', 'device']) {
            assert.equal(vbds[0]?.[name], added[name], name);
            const shown = (await json('show', 0, 'show', key))[name];
            assert.equal(shown, added[name], name);
          }
          const stack = (await json('show', 0, 'show', key)).stack as Record<string, unknown>;
          assert.deepEqual([stack.devnum, stack.diskseq], [added.devnum, added.diskseq]);
          await json('wait', 0, 'wait', key);
          await json('error', 1, 'wait', failing.key);
          await json('check', 3, 'check', image);
          await json('inspect', 3, 'inspect', image);
          await using loop = await attachLoop(fixture.image());
          await json('inspect', 0, 'inspect', loop.path);
          await json('inspect', 1, 'inspect', `path=${loop.path},diskseq=1`);
          truncateSync(image, 2 * 1024 * 1024);
          await json('resize', 0, 'resize', key);
          await json('remove-dry-run', 0, 'remove', key, '--dry-run');
          await fixture.close(vbd);
          await json('remove', 0, 'remove', key);
          await json('wait', 0, 'wait', key, '--closed');
          await json('config', 0, 'config');
          for (const words of [['lsit'], ['add', '--frob'], ['add', 'x'], ['check', 'a=b']]) {
            await json('error', 2, ...words);
          }
          await json('error', 1, 'events');
        },
        { guise },
      ));
  }

  it('fits it in each event', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const events = startProgram(process.execPath, [CLI, 'events', '--json', '-v'], daemon.env);
      await new Promise((resolve) => events.process.stderr?.once('data', resolve));
      await fixture.vbd(fixture.image());
      await fixture.vbd('/nonexistent');
      await daemon.says(/: attached/);
      await daemon.says(/add failed/);
      events.process.kill('SIGINT');
      const lines = (await events.ended).stdout.trimEnd().split('\n');
      assert.ok(lines.length > 6);
      for (const line of lines) assertSchema('event', line);
    }));
});
