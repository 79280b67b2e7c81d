import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import { startXenstoreProxy } from '../../bed/xenstore-proxy.js';
import { type HotplugFixture, on } from '../hotplug/fixture.js';
import { type Ground, GUISES, withGround } from './ground.js';
import { SECOND, secondVbd } from './guests.js';

/** Things that may stand in the place of sysfs. */
const RUINS: readonly (readonly [string, (path: string) => void])[] = [
  ['an empty directory', (path) => mkdirSync(path)],
  ['nothing', () => undefined],
  ['a file', (path) => writeFileSync(path, '')],
  [
    'a bus whose devices cannot be listed',
    (path) => {
      mkdirSync(join(path, 'bus/xen-backend'), { recursive: true });
      writeFileSync(join(path, 'bus/xen-backend/devices'), '');
    },
  ],
];

describe('What cannot be read is not taken for nothing:', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const [title, make] of RUINS) {
      it(
        `${title} instead of sysfs is an error of add and check (${guise} blkback)`,
        withGround('file', { guise }, async (fixture, ground) => {
          const sysfs = join(fixture.bed.directory, 'no-sysfs');
          make(sysfs);
          const env = { XEN_BLKBACK_SYSFS: sysfs, XEN_BLKBACK_TIMEOUT: '5' };
          await fixture.attach(await fixture.vbd(ground.path));
          for (const path of [ground.path, fixture.image('of nobody yet')]) {
            const vbd = await fixture.vbd(path, { frontend: SECOND });
            const { status, stdout, stderr } = await fixture.cli(
              ['add', vbd.backendPath, '--json'],
              env,
            );
            assert.equal(status, 1, 'it has seen that nobody has it where it could see nothing');
            const { code } = JSON.parse(stdout).error;
            assert.ok(['ESYSFS', 'EBLKBACK'].includes(code), `${code}: ${stderr}`);
            assert.ok(stderr.includes(sysfs), stderr);
            assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
            assert.equal(await fixture.node(vbd, 'hotplug-status'), 'error');
            assert.deepEqual(fixture.events(vbd, 'opened'), []);
          }
          const check = await fixture.cli(['check', ground.path, '--mode', 'w'], env);
          assert.equal(check.status, 4, check.stdout);
          assert.doesNotMatch(check.stdout, /can be attached/);
        }),
      );
    }
  }

  for (const [title, make] of RUINS) {
    it(
      `${title} instead of sysfs is an error of remove, which leaves the vbd as it is`,
      withGround('disk', {}, async (fixture, ground) => {
        const sysfs = join(fixture.bed.directory, 'no-sysfs');
        make(sysfs);
        const vbd = await fixture.vbd(ground.path);
        await fixture.attach(vbd);
        const before = await fixture.nodes(vbd, 'physical-device', 'diskseq');
        const error = await failure('ESYSFS', fixture.detach(vbd, { sysfs }));
        assert.ok(error.message.includes(sysfs), error.message);
        assert.deepEqual(await fixture.nodes(vbd, 'physical-device', 'diskseq'), before);
        assert.deepEqual(fixture.events(vbd, 'closed'), []);
      }),
    );
  }

  describe('whose machine another domain is', () => {
    /**
     * Adds a vbd for the first guest and then for its stub domain. The virtual machine of the first
     * guest cannot be read.
     */
    async function addForStub(
      fixture: HotplugFixture,
      ground: Ground,
      env: Record<string, string>,
    ) {
      await fixture.store.write('/local/domain/7/vm', '/vm/one');
      await fixture.store.write(`/local/domain/${SECOND}/vm`, '/vm/two');
      await fixture.store.write(`/local/domain/${SECOND}/target`, '7');
      await using proxy = await startXenstoreProxy(fixture.bed, (path) =>
        /^\/local\/domain\/7\/vm$/.test(path) ? 'EACCES' : undefined,
      );
      await fixture.attach(await fixture.vbd(ground.path));
      const vbd = await secondVbd(fixture, ground);
      return { vbd, run: await fixture.script(vbd, 'add', { ...proxy.env, ...env }) };
    }

    it(
      'cannot be read: it is refused, and told which setting would take it for the same',
      withGround('file', {}, async (fixture, ground) => {
        const { vbd, run } = await addForStub(fixture, ground, {});
        assert.equal(run.status, 1);
        assert.match(run.stderr, /same-vm=assume/);
        assert.equal(await fixture.node(vbd, 'hotplug-status'), 'busy');
      }),
    );

    it(
      'cannot be read, and is taken for the same with that setting',
      // A guest and its stub domain both have the bytes open, which a ground forbids. So the test
      // does without one.
      on({}, async (fixture) => {
        const disturb = async () => undefined;
        const ground: Ground = { kind: 'file', path: fixture.image(), device: undefined, disturb };
        const { run } = await addForStub(fixture, ground, { XEN_BLKBACK_SAME_VM: 'assume' });
        assert.deepEqual([run.status, run.stderr], [0, '']);
        await fixture.destroyVbds();
      }),
    );
  });
});
