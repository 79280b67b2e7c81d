import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { claimExport } from '../../../src/sharing/claim.js';
import type { ExportUse } from '../../../src/sharing/export-use.js';
import { DeviceMap } from '../../../src/topology/device-map.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { temporaryDirectory } from '../../bed/paths.js';

describe('claimExport', () => {
  const file = { kind: 'file', device: 1n, inode: 2n } as const;
  const use = (isAlone: boolean): ExportUse => ({
    subject: '/a.img',
    access: 'read-write',
    sharing: 'deny',
    domid: 7,
    device: undefined,
    look: async () => ({
      map: new DeviceMap(),
      reach: {
        extents: [{ base: file, start: 0n, end: undefined }],
        stack: new Set(),
        unclaimed: [],
      },
    }),
    isAlone: () => isAlone,
  });

  /** How often all vbds are listed for a claim. */
  const listings = async (wanted: ExportUse): Promise<number> => {
    const runDirectory = temporaryDirectory();
    let listed = 0;
    const list = async (): Promise<[]> => {
      listed++;
      return [];
    };
    const around = {
      // Nobody is there who would have to be named.
      store: {} as Xenstore,
      publications: { list },
      own: undefined,
      signal: AbortSignal.timeout(5000),
      runDirectory,
    };
    try {
      await using _claim = await claimExport(wanted, around);
      return listed;
    } finally {
      rmSync(runDirectory, { recursive: true });
    }
  };

  it('looks at no other vbd where the kernel says that nobody else has the bytes', async () => {
    assert.equal(await listings(use(true)), 0);
  });

  it('looks at all of them where it does not', async () => {
    assert.equal(await listings(use(false)), 1);
  });
});
