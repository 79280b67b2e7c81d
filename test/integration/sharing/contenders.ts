import { attach } from '../../../src/hotplug/attach.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';
import { readText } from '../../../src/xenstore/text.js';
import { runXenBlock } from '../../bed/xen-block.js';
import type { Contender } from './fixture.js';

const TIMEOUT_MS = 30_000;

/** This project, which attaches in this process. */
export const ours: Contender = {
  keepsLoops: false,
  async add(bed, store, vbd) {
    const path = parseVbdPath(vbd.backendPath);
    if (path === undefined) throw new Error(vbd.backendPath);
    const { runDirectory, blkback } = bed;
    const options = { timeoutMs: TIMEOUT_MS, uapi: 'key', sysfs: blkback.sysfs } as const;
    try {
      await attach(store, path, { ...options, runDirectory });
      return { verdict: 'free', reason: '' };
    } catch (error) {
      const status = await readText(store, `${vbd.backendPath}/hotplug-status`);
      if (!(error instanceof Error) || status !== 'busy') throw error;
      return { verdict: 'busy', reason: error.message };
    }
  },
};

/**
 * The script does not try again if another process takes the free loop device that it has found. So
 * it is run again.
 */
const TRIES = 8;
const LOST_LOOP = /^losetup .* failed$/;

/** Xen's own script. */
export const xenBlock: Contender = {
  keepsLoops: true,
  async add(bed, store, vbd) {
    for (let left = TRIES; ; left--) {
      const { status } = await runXenBlock(bed, vbd, 'add');
      if (status === 0) return { verdict: 'free', reason: '' };
      const node = (name: string): string => `${vbd.backendPath}/${name}`;
      const reason = (await readText(store, node('hotplug-error'))) ?? '';
      const told = await readText(store, node('hotplug-status'));
      if (told === 'busy') return { verdict: 'busy', reason };
      if (left === 1 || !LOST_LOOP.test(reason)) {
        throw new Error(`block ended with status ${status}: ${reason}`);
      }
      await Promise.all(
        ['hotplug-error', 'hotplug-status'].map((name) => store.remove(node(name))),
      );
    }
  },
};
