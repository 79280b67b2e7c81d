import assert from 'node:assert/strict';
import { parseMountinfo } from '../../../src/linux/mounts.js';
import { layerPaths, mayBeOverlay } from '../../../src/topology/overlay.js';

const MOUNTS = parseMountinfo(String.raw`27 1 254:0 / / rw - ext4 /dev/vda rw
61 27 0:50 / /srv/merged rw - overlay none rw,lowerdir=/srv/a:/srv/b\:c,upperdir=/srv/up\040per,workdir=/srv/work
62 27 0:50 /sub /mnt/bound rw - overlay none rw,lowerdir=/srv/a:/srv/b\:c,upperdir=/srv/up\040per,workdir=/srv/work
63 27 0:51 / /srv/new rw - overlay none rw,lowerdir+=/srv/a,lowerdir+=/srv/d
65 27 0:53 / /srv/plus rw - overlay none rw,lowerdir+=/srv/e:f,lowerdir+=/srv/g\134:h
66 27 0:54 / /srv/list rw - overlay none rw,lowerdir=/srv/e\134:f:/srv/g\072h::/srv/i
64 61 0:52 / /srv/merged/tmp rw - tmpfs none rw
`);
const paths = (path: string): string[] =>
  layerPaths(path, MOUNTS).map((layer) => `${layer.isUpper ? 'upper' : 'lower'} ${layer.path}`);

describe('The layers of an overlay', () => {
  it('are looked through from above, those with a colon in their name too', () => {
    assert.deepEqual(paths('/srv/merged/x/a.img'), [
      'upper /srv/up per/x/a.img',
      'lower /srv/a/x/a.img',
      'lower /srv/b:c/x/a.img',
    ]);
  });

  it('are found for a directory of it that is mounted elsewhere, and as newer kernels show them', () => {
    assert.equal(paths('/mnt/bound/a.img')[0], 'upper /srv/up per/sub/a.img');
    assert.deepEqual(paths('/srv/new/a.img'), ['lower /srv/a/a.img', 'lower /srv/d/a.img']);
  });

  it('may have colons in their names, however the kernel shows them', () => {
    assert.deepEqual(paths('/srv/plus/a.img'), ['lower /srv/e:f/a.img', 'lower /srv/g\\:h/a.img']);
    assert.deepEqual(paths('/srv/list/a.img'), [
      'lower /srv/e:f/a.img',
      'lower /srv/g:h/a.img',
      'lower /srv/i/a.img',
    ]);
  });

  it('are none for a file on another file system', () => {
    assert.deepEqual(paths('/srv/a/a.img'), []);
    assert.deepEqual(paths('/srv/merged/tmp/a.img'), []);
    assert.deepEqual(paths('/srv/mergedother/a.img'), []);
  });

  it('are looked for where the number of the file system may be an overlay’s', () => {
    const may = (device: bigint): boolean => mayBeOverlay(device, () => MOUNTS);
    assert.deepEqual([may(50n), may(99n), may(52n), may(0xfe00n)], [true, true, false, false]);
    assert.equal(
      mayBeOverlay(99n, () => MOUNTS.slice(0, 1)),
      false,
    );
  });
});
