import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fcntlSync } from '../../../src/linux/calls.js';
import { O_RDWR, OwnedFd } from '../../../src/linux/fd.js';
import { tryLockByte } from '../../../src/linux/range-lock.js';
import {
  isOpenFor,
  listPendingOpens,
  markPendingOpen,
  type PendingOpen,
  positionOfOpen,
  unexplainedOpens,
} from '../../../src/sharing/pending-opens.js';
import { positionOf } from '../../../src/sharing/storage-locks.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { temporaryDirectory } from '../../bed/paths.js';

const SDA = { major: 8, minor: 0 };
const LAST = { major: 4095, minor: 2 ** 20 - 1 };
const [VBD, OTHER] = [vbdPath(7, 51712), vbdPath(32751, 268435456)];

describe('What blkback may still open', () => {
  let directory: string;
  beforeEach(() => {
    directory = temporaryDirectory();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const opens = async (): Promise<PendingOpen[]> =>
    (await listPendingOpens(directory)).sort((a, b) => a.domid - b.domid);

  it('is nothing where nothing was ever locked', async () => {
    assert.deepEqual(await opens(), []);
  });

  it('is all that is marked, by whomever and however often, until the mark is closed', async () => {
    const first = await markPendingOpen(directory, VBD, { devnum: SDA, writable: true });
    const again = await markPendingOpen(directory, VBD, { devnum: SDA, writable: true });
    const other = await markPendingOpen(directory, OTHER, { devnum: LAST, writable: false });
    const open = { devnum: SDA, domid: 7, writable: true, devid: 51712 % 16381 };
    const last = { devnum: LAST, domid: 32751, writable: false, devid: 268435456 % 16381 };
    assert.deepEqual(await opens(), [open, last]);
    assert(isOpenFor(open, VBD) && !isOpenFor(open, OTHER) && !isOpenFor(last, VBD));
    await first.close();
    assert.deepEqual(await opens(), [open, last]);
    await again.close();
    assert.deepEqual(await opens(), [last]);
    await other.close();
    assert.deepEqual(await opens(), []);
  });

  it('is not what the storage is locked by', async () => {
    await using mark = await markPendingOpen(directory, VBD, { devnum: SDA, writable: true });
    await using lock = OwnedFd.openSync(mark.name, O_RDWR);
    assert.equal(mark.name, join(directory, 'sharing.lock'));
    assert(tryLockByte(lock, positionOf('a file'), true));
    assert.equal((await opens()).length, 1);
    assert(positionOfOpen({ devnum: LAST, domid: 2 ** 15 - 1, writable: true, devid: 16380 }) > 0n);
  });

  it('is refused where somebody has locked all of the file', async () => {
    await (await markPendingOpen(directory, VBD, { devnum: SDA, writable: true })).close();
    await using lock = OwnedFd.openSync(join(directory, 'sharing.lock'), O_RDWR);
    const position = positionOfOpen({ devnum: SDA, domid: 7, writable: true, devid: 51712 });
    assert(tryLockByte(lock, position, true));
    const marking = markPendingOpen(directory, VBD, { devnum: SDA, writable: true });
    await assert.rejects(marking, { code: 'ELOCK' });
  });

  it('is not told where somebody has a shared lock on all of the file', async () => {
    await (await markPendingOpen(directory, VBD, { devnum: SDA, writable: true })).close();
    await using file = OwnedFd.openSync(join(directory, 'sharing.lock'), O_RDWR);
    // struct flock: F_RDLCK and SEEK_SET are 0, and so are start and length, which means all of it.
    fcntlSync(file.fd, { name: 'F_OFD_SETLK', number: 37 }, Buffer.alloc(32), file.name);
    await assert.rejects(listPendingOpens(directory), { code: 'ELOCK' });
  });

  it('is explained by a use of the same vbd, and by no other one', () => {
    const open: PendingOpen = { devnum: SDA, domid: 7, writable: true, devid: 51712 % 16381 };
    const device = { devnum: SDA, diskseq: 1n, writable: true };
    const use = { vbd: VBD, ...device, open: false, pending: true };
    assert.deepEqual(unexplainedOpens([open], [use]), []);
    assert.deepEqual(unexplainedOpens([open], [{ ...use, vbd: OTHER }]), [open]);
    assert.deepEqual(unexplainedOpens([open], [{ ...use, devnum: LAST }]), [open]);
    assert.deepEqual(unexplainedOpens([{ ...open, writable: false }], [use]).length, 1);
  });
});
