import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, on } from '../hotplug/fixture.js';

/** Writes what libxl writes for a disk that QEMU or tapdisk is to serve. */
async function createOther(
  { store }: HotplugFixture,
  kind: 'qdisk' | 'vbd3',
  nodes: Readonly<Record<string, string>>,
): Promise<string> {
  const path = `backend/${kind}/8/51712`;
  const frontend = '/local/domain/8/device/vbd/51712';
  const all = { frontend, 'frontend-id': '8', online: '1', state: '4', dev: 'xvdb', ...nodes };
  await store.transact(
    Object.entries(all).map(([node, value]) => ({
      op: 'write' as const,
      path: `${path}/${node}`,
      value,
    })),
  );
  return path;
}

describe('Disks that QEMU and tapdisk serve', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'are uses of their files and devices, by whatever path',
    on({}, async (fixture) => {
      const image = fixture.image();
      // QEMU would have the image open in this way.
      const qemu = openSync(image, 'r+');
      await createOther(fixture, 'qdisk', { params: `aio:${image}`, mode: 'w' });
      const vbd = await fixture.vbd(image);
      const error = await failure('EBUSY', fixture.attach(vbd));
      assert.match(error.message, /attached read-write to domain 8 as xvdb; so domain 7 cannot/);
      await using loop = await attachLoop(image);
      const over = await fixture.vbd(loop.path, { devid: 51728 });
      assert.match((await failure('EBUSY', fixture.attach(over))).message, /to domain 8 as xvdb/);

      await createOther(fixture, 'qdisk', { params: `qcow2:${image}`, mode: 'r' });
      const reader = await fixture.vbd(loop.path, { devid: 51744, mode: 'r' });
      await fixture.attach(reader);
      await fixture.delete(reader);

      await fixture.store.remove('backend/qdisk');
      const [major, minor] = loop.devnum.split(':');
      await createOther(fixture, 'vbd3', { 'physical-device': `${major}:${minor}`, mode: 'w' });
      assert.match((await failure('EBUSY', fixture.attach(over))).message, /to domain 8 as xvdb/);

      await fixture.store.write('/local/domain/8/vm', '/vm/one');
      await fixture.store.write('/local/domain/7/vm', '/vm/one');
      await fixture.attach(over);
      await fixture.delete(over);
      closeSync(qemu);
    }),
  );

  it(
    'are listed, and refused with a sentence where their toolstack looks',
    on({}, async (fixture) => {
      const path = await createOther(fixture, 'qdisk', { params: 'aio:/srv/a.img', mode: 'w' });
      const { stdout } = await fixture.cli(['list']);
      assert.match(stdout, /^qdisk\/8\/51712 .* xvdb +w +4 \(Connected\) .*aio:\/srv\/a\.img$/m);
      const vbd = await fixture.vbd(fixture.image());
      const env = { XENBUS_PATH: path, XENBUS_TYPE: 'qdisk' };
      const { status, stderr } = await fixture.script(vbd, 'add', env);
      assert.equal(status, 1);
      assert.match(stderr, /"backend\/qdisk\/8\/51712" is a disk that QEMU serves/);
      const told = await fixture.store.readMany([
        `${path}/hotplug-error`,
        `${path}/hotplug-status`,
      ]);
      assert.match(String(told[0]), /a disk that QEMU serves: this script is for those of blkback/);
      assert.equal(String(told[1]), 'error');
    }),
  );
});
