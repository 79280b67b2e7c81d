import assert from 'node:assert/strict';
import { parseOtherParams } from '../../../src/vbd/other-disks.js';
import { parseOtherPath, parseVbdPath } from '../../../src/vbd/vbd-path.js';

describe('parseOtherPath', () => {
  it('reads the paths of disks that QEMU and tapdisk serve, which parseVbdPath refuses', () => {
    for (const path of ['backend/qdisk/7/51712', '/local/domain/0/backend/vbd3/7/51712']) {
      assert.equal(parseVbdPath(path), undefined);
      const { domid, devid, backend } = parseOtherPath(path) ?? {};
      assert.deepEqual([domid, devid], [7, 51712]);
      assert.ok(backend && path.endsWith(backend));
    }
    for (const path of ['backend/vbd/7/51712', 'backend/vif/7/0', 'backend/qdisk/7', '']) {
      assert.equal(parseOtherPath(path), undefined);
    }
  });
});

describe('parseOtherParams', () => {
  for (const [params, path] of [
    ['aio:/srv/a.img', '/srv/a.img'],
    ['qcow2:/srv/a:b.qcow2', '/srv/a:b.qcow2'],
    ['/dev/vg/root', '/dev/vg/root'],
    ['nbd:host:10809', undefined],
    ['raw:rbd:pool/image', undefined],
    ['', undefined],
  ] as const) {
    it(`finds ${path ?? 'no path'} in ${JSON.stringify(params)}`, () => {
      assert.equal(parseOtherParams(params), path);
    });
  }
});
