import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OpenVbds } from '../../../src/vbd/open-vbds.js';
import { PublicationIndex } from '../../../src/vbd/publication-index.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { indexedVbdUses } from '../../../src/vbd/vbd-uses.js';
import { MemoryXenstored } from '../../store/memory.js';

/** The kernel's vbds, with a count of the looks at them. */
class CountedVbds extends OpenVbds {
  looks = 0;
  override listAll() {
    this.looks++;
    return super.listAll();
  }
}

describe('The uses that an index knows', () => {
  let sysfs: string;
  beforeEach(() => {
    sysfs = mkdtempSync('/dev/shm/xen-sysfs-');
    mkdirSync(join(sysfs, 'bus/xen-backend/devices'), { recursive: true });
  });
  afterEach(() => rmSync(sysfs, { recursive: true }));

  const begin = async () => {
    const xenstored = new MemoryXenstored();
    const [own, other] = [xenstored.connect(), xenstored.connect()];
    const index = new PublicationIndex(own);
    const listener = { onEvent: (path: string) => index.onWatchEvent(path), onLost: () => {} };
    await own.watch('backend/vbd', listener);
    const vbds = new CountedVbds(sysfs);
    const uses = indexedVbdUses(own, index, vbds);
    const minors = async (minor: number, signal?: AbortSignal): Promise<number[]> => {
      const numbers = [{ major: 7, minor }];
      return (await uses.list({ numbers, signal })).map(({ devnum }) => devnum.minor);
    };
    const end = async () => {
      await own.close();
      await other.close();
    };
    return { other, uses, vbds, minors, end };
  };

  it('are looked at fewer times than many ask at once, and each finds what was there', async () => {
    const { other, vbds, minors, end } = await begin();
    const asked = Array.from({ length: 50 }, async (_, minor) => {
      const { backend, sysfsName } = vbdPath(minor + 1, 51712);
      if (minor % 2 === 0) {
        await other.write(`${backend}/physical-device`, `7:${minor.toString(16)}`);
      } else {
        const directory = join(sysfs, 'bus/xen-backend/devices', sysfsName);
        mkdirSync(directory);
        writeFileSync(join(directory, 'mode'), 'w\n');
        writeFileSync(join(directory, 'physical_device'), `7:${minor.toString(16)}\n`);
      }
      assert.deepEqual(await minors(minor), [minor]);
    });
    await Promise.all(asked);
    assert.ok(vbds.looks < 50, `${vbds.looks} looks`);
    assert.equal(readdirSync(join(sysfs, 'bus/xen-backend/devices')).length, 25);
    await end();
  });

  it('do not keep anybody who gives up, and serve the others', async () => {
    const { other, minors, end } = await begin();
    await other.write('backend/vbd/7/51712/physical-device', '7:1');
    const reason = new Error('enough');
    const [given, served] = await Promise.allSettled([
      minors(1, AbortSignal.abort(reason)),
      minors(1),
    ]);
    assert.deepEqual(given, { status: 'rejected', reason });
    assert.deepEqual(served, { status: 'fulfilled', value: [1] });
    await end();
  });
});
