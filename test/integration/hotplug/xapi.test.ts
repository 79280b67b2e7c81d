import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { startBed } from '../../bed/bed.js';
import { runClient, startDaemon, startDaemonProgram } from '../../bed/daemon.js';
import { needs } from '../../bed/needs.js';
import { CLI, HOTPLUG_SCRIPT, type Run, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { closeVbd, type Vbd } from '../../bed/toolstack.js';
import { startXenstoreProxy } from '../../bed/xenstore-proxy.js';
import { HotplugFixture } from './fixture.js';

const UUID = '8a0c6e27-7f64-4bb3-9c3c-6f4e1cbb2d11';

describe('what xapi asks of a hotplug script', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function withFixture(body: (fixture: HotplugFixture) => Promise<void>): Promise<void> {
    await using bed = await startBed();
    await using store = await openStore(bed);
    await body(new HotplugFixture(bed, store));
  }

  /** Creates the nodes of guest 7 as xapi does. */
  async function makeGuest(fixture: HotplugFixture, ...more: [string, string][]): Promise<void> {
    const nodes: [string, string][] = [
      ['/local/domain/7/vm', `/vm/${UUID}`],
      [`/vm/${UUID}/uuid`, UUID],
      ...more,
    ];
    await fixture.store.transact(nodes.map(([path, value]) => ({ op: 'write', path, value })));
  }
  const XAPI: [string, string] = [`/xapi/${UUID}/private`, ''];
  const nodeOf = ({ key }: Vbd): string =>
    `/xapi/${UUID}/hotplug/7/vbd/${key.split('/')[1]}/hotplug`;
  const read = async (fixture: HotplugFixture, path: string): Promise<string | undefined> =>
    (await fixture.store.readMany([path]))[0]?.toString();

  /** Attaches and detaches in the way given, and checks xapi's node in between. */
  async function cycle(
    fixture: HotplugFixture,
    run: (vbd: Vbd, action: string) => Promise<Run>,
  ): Promise<void> {
    await makeGuest(fixture, XAPI);
    const vbd = await fixture.vbd(fixture.image());
    const added = await run(vbd, 'add');
    assert.deepEqual([added.status, added.stderr], [0, '']);
    assert.equal(await read(fixture, nodeOf(vbd)), 'online');
    assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
    await closeVbd(fixture.store, vbd);
    assert.equal((await run(vbd, 'remove')).status, 0);
    assert.equal(await read(fixture, nodeOf(vbd)), undefined);
  }

  it('is told by a node of its own that a disk is attached, and that it is not', () =>
    withFixture((fixture) => cycle(fixture, (vbd, action) => fixture.script(vbd, action))));

  it('is told so by the daemon, too', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      await cycle(fixture, (vbd, action) => runClient(daemon.env, vbd, action));
    }));

  it('fails no add of a disk that is served, because it cannot be told: the warning is logged', () =>
    withFixture(async (fixture) => {
      await makeGuest(fixture, XAPI);
      const isUuid = (path: string): boolean => path === `/vm/${UUID}/uuid`;
      await using proxy = await startXenstoreProxy(fixture.bed, (path) =>
        isUuid(path) ? 'EIO' : undefined,
      );
      const alone = await fixture.vbd(fixture.image());
      const { status, stderr } = await fixture.script(alone, 'add', proxy.env);
      assert.equal(status, 0, stderr);
      const sentence = `${alone.backendPath} is attached, but xapi could not be told: `;
      assert.ok(stderr.startsWith(`xen-blkback: ${sentence}`), stderr);
      assert.ok(readFileSync(fixture.bed.logFile, 'utf8').includes(sentence));
      assert.equal(await fixture.node(alone, 'hotplug-status'), 'connected');

      await using daemon = await startDaemonProgram(
        fixture.bed,
        process.execPath,
        [CLI, 'daemon'],
        proxy.env,
      );
      const served = await fixture.vbd(fixture.image());
      assert.equal((await runClient(daemon.env, served, 'add')).status, 0);
      await daemon.says(/warned: .* is attached, but xapi could not be told: /);
    }));

  it('gets no node where it has not made the guest', () =>
    withFixture(async (fixture) => {
      await makeGuest(fixture);
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await fixture.script(vbd, 'add')).status, 0);
      assert.equal(await read(fixture, nodeOf(vbd)), undefined);
      assert.equal(await fixture.exists('/xapi'), false);
    }));

  it('finds only the status below XENBUS_PREFIX, with a daemon as well as without', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed, '--scripts', 'none');
      await makeGuest(fixture, XAPI);
      const vbd = await fixture.vbd('/nonexistent');
      const prefix = '/xapi/elsewhere/';
      const status = `${prefix}${vbd.backendPath}/hotplug-status`;
      for (const run of [
        (action: string) => fixture.script(vbd, action, { XENBUS_PREFIX: prefix }),
        (action: string) => runClient({ ...daemon.env, XENBUS_PREFIX: prefix }, vbd, action),
      ]) {
        const added = await run('add');
        assert.deepEqual([added.status, added.stderr], [0, '']);
        assert.equal(await read(fixture, status), 'connected');
        assert.equal(await read(fixture, nodeOf(vbd)), 'online');
        assert.deepEqual(await fixture.nodes(vbd, 'hotplug-status', 'physical-device'), [
          undefined,
          undefined,
        ]);
        assert.equal((await run('remove')).status, 0);
        assert.equal(await read(fixture, status), undefined);
        assert.equal(await read(fixture, nodeOf(vbd)), undefined);
      }
    }));

  it('refuses a XENBUS_PREFIX that is no path of a node', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const { status, stderr } = await fixture.script(vbd, 'add', { XENBUS_PREFIX: 'a b' });
      assert.equal(status, 1);
      assert.match(stderr, /XENBUS_PREFIX is "?a b"?: the absolute path of a node is needed/);
    }));

  it('may call it with change, and nothing happens', async () => {
    const env = { XENBUS_PATH: 'backend/vbd/7/51712', XENSTORED_PATH: '/nonexistent' };
    const { status, stdout, stderr } = await startProgram(HOTPLUG_SCRIPT, ['change'], env).ended;
    assert.deepEqual([status, stdout, stderr], [0, '', '']);
  });
});
