import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isStillAttached } from '../../../src/daemon/is-still-attached.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { MemoryXenstored } from '../../store/memory.js';
import { withReads } from '../../store/with-reads.js';

describe('A finished attach', () => {
  const vbd = vbdPath(7, 51712);
  const publication = {
    'physical-device': '7:1a',
    'physical-device-path': '/dev/loop26',
    diskseq: '2f',
  };
  let sysfs: string;
  let instance: string;
  let store: Xenstore;

  beforeEach(async () => {
    sysfs = mkdtempSync(join(tmpdir(), 'xen-still-'));
    instance = join(sysfs, 'bus/xen-backend/devices', vbd.sysfsName);
    mkdirSync(instance, { recursive: true });
    store = new MemoryXenstored().connect();
    await write({ ...publication, params: '/img', state: '4', 'hotplug-status': 'connected' });
  });
  afterEach(async () => {
    await store.close();
    rmSync(sysfs, { recursive: true, force: true });
  });

  async function write(nodes: Readonly<Record<string, string>>): Promise<void> {
    for (const [node, value] of Object.entries(nodes)) {
      await store.write(`${vbd.backend}/${node}`, value);
    }
  }

  function open(device: string): void {
    writeFileSync(join(instance, 'physical_device'), `${device}\n`);
  }

  const isStill = (published: typeof publication | undefined = publication): Promise<boolean> =>
    isStillAttached(store, vbd, sysfs, published);

  it('is still true while blkback has the device open and the nodes name it', async () => {
    open('7:1a');
    assert.equal(await isStill(), true);
    const inline = { ...publication, 'physical-device': '2f@7:1a' };
    await write({ 'physical-device': inline['physical-device'] });
    assert.equal(await isStill(inline), true);
    assert.equal(await isStill(), false);
  });

  it('is not true any more where blkback has closed the device, whatever the nodes say', async () => {
    assert.equal(await isStill(), false);
    rmSync(instance, { recursive: true });
    assert.equal(await isStill(), false);
  });

  it('is not true of another device', async () => {
    open('7:1b');
    assert.equal(await isStill(), false);
  });

  it('is not true of an instance that came while the nodes were read', async () => {
    open('7:1a');
    const anew = withReads(store, async (read) => {
      const found = await read();
      renameSync(instance, `${instance}-ended`);
      rmSync(`${instance}-ended/physical_device`);
      mkdirSync(instance);
      open('7:1a');
      return found;
    });
    assert.equal(await isStillAttached(anew, vbd, sysfs, publication), false);
  });

  it('of an empty drive is still true until a medium is put in or the drive is closed', async () => {
    for (const node of ['physical-device', 'diskseq']) await store.remove(`${vbd.backend}/${node}`);
    await write({ params: '', state: '2' });
    const isStillEmpty = (): Promise<boolean> => isStillAttached(store, vbd, sysfs, undefined);
    assert.equal(await isStillEmpty(), true);
    await write({ state: '6' });
    assert.equal(await isStillEmpty(), false);
    await write({ state: '2', params: '/img' });
    assert.equal(await isStillEmpty(), false);
  });
});
