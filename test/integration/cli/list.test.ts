import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { needs } from '../../bed/needs.js';
import { CLI } from '../../bed/script.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

async function lines(fixture: HotplugFixture, ...words: string[]): Promise<string[]> {
  const { status, stdout, stderr } = await fixture.cli(['list', ...words]);
  assert.deepEqual([status, stderr], [0, ''], words.join(' '));
  return stdout === '' ? [] : stdout.trimEnd().split('\n');
}

describe('xen-blkback list', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('shows what is asked for: of one guest, by number or name, with these columns', () =>
    withFixture(async (fixture) => {
      await fixture.store.write('/local/domain/8/name', 'work');
      const image = fixture.image(undefined, { size: 1024 * 1024 });
      await fixture.attach(await fixture.vbd(image));
      await fixture.create('/nowhere', { frontend: 8 });
      assert.deepEqual(await lines(fixture, '-n', '-o', 'vbd,size,block-size,target'), [
        `7/51712  1048576  512  ${image}`,
        '8/51728  -        -    /nowhere',
      ]);
      assert.deepEqual(await lines(fixture, '8', '-n', '-o', 'backend'), ['backend/vbd/8/51728']);
      assert.deepEqual(await lines(fixture, 'work', '-n', '-o', 'VBD,domain'), ['8/51728  work']);
      const json = JSON.parse((await fixture.cli(['list', '8', '--json'])).stdout);
      assert.equal(json.vbds.length, 1);
      const unknown = await fixture.cli(['list', '-o', 'sice']);
      assert.equal(unknown.status, 2);
      assert.match(unknown.stderr, /there is no column "sice": did you mean size\?/);
    }));

  it('fails for a guest or domain that does not exist, and not for one that has no vbd', () =>
    withFixture(async (fixture) => {
      await fixture.create('/nowhere');
      await fixture.store.write('/local/domain/8/name', 'idle');
      for (const guest of ['8', 'idle']) assert.deepEqual(await lines(fixture, guest, '-n'), []);
      assert.deepEqual(await lines(fixture, '7', '-n', '--errors'), []);
      for (const [words, says] of [
        [['9'], 'there is no guest "9": the number or the name of a guest is needed (xl list)'],
        [['nosuch', '-n'], 'there is no guest "nosuch": the number or the name of a guest'],
        [['7/51712', '--errors'], 'there is no guest "7/51712": the number or the name of a'],
        [['', '--all'], 'there is no guest "": the number or the name of a guest is needed'],
        [['--backend-domain', '99'], 'there is no domain 99 (xl list)'],
      ] as const) {
        const run = await fixture.cli(['list', ...words]);
        assert.deepEqual([run.status, run.stdout], [1, ''], words.join(' '));
        assert.ok(run.stderr.startsWith(`xen-blkback: ${says}`), run.stderr);
      }
      const json = await fixture.cli(['list', 'nosuch', '--json']);
      assert.equal(JSON.parse(json.stdout).error.code, 'EDOMAIN');
    }));

  it('shows a control character in a value as its bytes, and a terminal obeys none', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.create('/nowhere\n/a  b\u001b[2J\u009b2J\u202e');
      const shown = '/nowhere\\x0a/a  b\\x1b[2J\\xc2\\x9b2J\\xe2\\x80\\xae';
      assert.deepEqual(await lines(fixture, '-n', '-o', 'target'), [shown]);
      const { stdout } = await fixture.cli(['show', vbd.key]);
      assert.match(stdout, /^target +\/nowhere\\x0a\/a {2}b\\x1b\[2J\\xc2\\x9b2J\\xe2\\x80\\xae$/m);
      for (const words of [['list'], ['show', vbd.key], ['list', '--json'], ['audit']]) {
        const run = await fixture.cli(words);
        assert.doesNotMatch(run.stdout + run.stderr, /(?!\n)\p{Cc}/u, words.join(' '));
      }
    }));

  it('shows those with an error only, and the error in its row', () =>
    withFixture(async (fixture) => {
      await fixture.attach(await fixture.vbd(fixture.image()));
      const bad = await fixture.vbd('/nonexistent');
      await fixture.attach(bad).catch(() => undefined);
      const [row, ...more] = await lines(fixture, '--errors', '-n', '-o', 'vbd,error');
      assert.match(row ?? '', /^7\/51728 {2}open \/nonexistent: no such file/);
      assert.deepEqual(more, []);
      assert.equal(
        (await lines(fixture, '--errors', '-n')).length,
        2,
        'and once more below the table',
      );
    }));

  it('shows those that have bytes of a file or device, whatever is between', () =>
    withFixture(async (fixture) => {
      const [image, other] = [fixture.image(), fixture.image()];
      const vbd = await fixture.vbd(image);
      await fixture.attach(vbd);
      await fixture.attach(await fixture.vbd(other, { frontend: 8 }));
      const again = await fixture.vbd(image, { frontend: 9 });
      await fixture.attach(again).catch(() => undefined);
      const link = `${image}.link`;
      symlinkSync(image, link);
      const device = (await fixture.node(vbd, 'physical-device-path')) ?? '';
      const names = (...words: string[]) => lines(fixture, '-n', '-o', 'vbd', ...words);
      assert.deepEqual(await names('--uses', image), [vbd.key, again.key]);
      for (const path of [link, device]) assert.deepEqual(await names('--uses', path), [vbd.key]);
      const nowhere = await fixture.cli(['list', '--uses', '/nonexistent']);
      assert.equal(nowhere.status, 1);
      assert.match(nowhere.stderr, /open \/nonexistent: no such file/);
    }));

  it('is as wide as the terminal, and whole in a pipe', () =>
    withFixture(async (fixture) => {
      const target = `/nowhere/${'x'.repeat(300)}`;
      await fixture.create(target);
      assert.ok((await lines(fixture))[1]?.endsWith(target));
      for (const width of [80, 200]) {
        const command = `stty cols ${width}; '${process.execPath}' '${CLI}' list`;
        const { stdout, status } = spawnSync('script', ['-qec', command, '/dev/null'], {
          env: { ...process.env, ...fixture.bed.env },
          encoding: 'utf8',
        });
        assert.equal(status, 0, stdout);
        const [head = '', row = ''] = stdout.split('\r\n');
        assert.match(head, /^VBD +DOMAIN/);
        assert.equal(row.length, width);
        assert.ok(row.endsWith('…'));
      }
    }));

  it('shows a thousand vbds, and their JSON of more than 1 MiB whole through a pipe', () =>
    withFixture(async (fixture) => {
      const target = `/nowhere/${'x'.repeat(900)}`;
      const all = Array.from({ length: 1000 }, (_, index) =>
        fixture.create(target, { frontend: 1 + Math.floor(index / 10) }),
      );
      await Promise.all(all);
      const started = performance.now();
      assert.equal((await lines(fixture, '-n', '-o', 'vbd')).length, 1000);
      const ms = performance.now() - started;
      assert.ok(ms < 10_000, `${ms} ms`);
      // The reader begins after a second, and a pipe holds 64 KiB.
      const command = `'${process.execPath}' '${CLI}' list --json | (sleep 1; cat)`;
      const env = { ...process.env, ...fixture.bed.env };
      const options = { env, encoding: 'utf8', maxBuffer: 2 ** 24 } as const;
      const { stdout } = spawnSync('bash', ['-o', 'pipefail', '-c', command], options);
      assert.ok(stdout.length > 1024 * 1024, `${stdout.length} bytes`);
      assert.equal(JSON.parse(stdout).vbds.length, 1000);
    }));
});
