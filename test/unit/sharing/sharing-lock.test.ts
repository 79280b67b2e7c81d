import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pinPath } from '../../../src/block/open-path.js';
import { SharingLock } from '../../../src/sharing/sharing-lock.js';
import type { SharingRequest } from '../../../src/sharing/sharing-request.js';
import { reachOfPath } from '../../../src/sharing/sharing-request.js';
import { directLookup } from '../../../src/topology/storage-lookup.js';
import type { VbdUse } from '../../../src/vbd/vbd-uses.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { MemoryXenstored } from '../../store/memory.js';

const WINDOW = { offset: 0n, size: undefined, blockSize: 512 };

describe('SharingLock', () => {
  let directory: string;
  beforeEach(() => {
    directory = temporaryDirectory();
    writeFileSync(join(directory, 'a.img'), Buffer.alloc(4096));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const lock = async (signal: AbortSignal, exclusive = true): Promise<SharingLock> => {
    const pinned = await pinPath(join(directory, 'a.img'));
    await using _node = pinned.fd;
    const place = { runDirectory: directory, exclusive, checked: true };
    return await SharingLock.acquire(pinned, WINDOW, place, signal);
  };

  /** Returns how often all vbds are listed for an export of the file. */
  const listings = async (isAlone: boolean): Promise<number> => {
    const pinned = await pinPath(join(directory, 'a.img'));
    await using _node = pinned.fd;
    const signal = AbortSignal.timeout(5000);
    await using claim = await lock(signal);
    const wanted: SharingRequest = {
      subject: '/a.img',
      access: 'read-write',
      sharing: 'deny',
      domid: 7,
      device: undefined,
      mapper: undefined,
      encrypted: false,
      readReach: (signal) => reachOfPath(pinned, WINDOW, signal),
      isSoleOpener: () => isAlone,
    };
    let listed = 0;
    const list = async (): Promise<VbdUse[]> => {
      listed++;
      return [];
    };
    // The store is empty: no guest uses the file, so no message has to name one.
    await using store = new MemoryXenstored().connect();
    await claim.requireFree(wanted, {
      store,
      uses: { list },
      storageLookup: directLookup,
      runDirectory: directory,
      own: undefined,
      sameVm: 'check',
      signal,
    });
    return listed;
  };

  it('looks at no other vbd where the kernel says that nobody else has the bytes', async () => {
    assert.equal(await listings(true), 0);
  });

  it('looks at all of them where it does not', async () => {
    assert.equal(await listings(false), 1);
  });

  it('keeps others away who want to write, from before the file is opened', async () => {
    await using _first = await lock(AbortSignal.timeout(5000));
    const late = new Error('late');
    const second = new AbortController();
    setTimeout(() => second.abort(late), 50);
    await assert.rejects(lock(second.signal), late);
  });

  it('lets readers look side by side', async () => {
    await using _first = await lock(AbortSignal.timeout(5000), false);
    await using _second = await lock(AbortSignal.timeout(5000), false);
  });
});
