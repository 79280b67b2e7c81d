import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachLoop } from '../../bed/images.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';
import type { HotplugFixture } from '../hotplug/fixture.js';

/** Something that is left behind on a host, or contradictory. */
export interface Leftover {
  readonly what: string;
  /** Leaves it, for the guest `domid`. Returns what `audit` calls the object. */
  readonly leave: (fixture: HotplugFixture, domid: number, end: DisposableStack) => Promise<string>;
  readonly kind: string;
  /** The reason for which `gc` leaves it; `undefined` where `gc` ends it. */
  readonly left?: RegExp;
  /** Ends what `gc` leaves, as a person would. */
  readonly tidy?: (fixture: HotplugFixture, domid: number) => Promise<unknown>;
}

/** Releases what a leftover needs while it lasts. `DisposableStack` of Node 20 is not there yet. */
export class DisposableStack {
  readonly #disposals: (() => unknown)[] = [];
  defer(disposal: () => unknown): void {
    this.#disposals.push(disposal);
  }
  async dispose(): Promise<void> {
    for (const disposal of this.#disposals.splice(0).reverse()) await disposal();
  }
}

const DEVID = 51712;
const kept = (fixture: HotplugFixture): string => `path=${fixture.image()},autoclear=no`;
const recordOf = (fixture: HotplugFixture, domid: number): string =>
  join(fixture.bed.runDirectory, `vbd-${domid}-${DEVID}.json`);
const own = (domid: number) => ({ frontend: domid, devid: DEVID });
const vbdOf = (domid: number): Vbd => {
  const key = `${domid}/${DEVID}`;
  return {
    key,
    backendPath: `backend/vbd/${key}`,
    frontendPath: `/local/domain/${domid}/device/vbd/${DEVID}`,
    errorPath: `error/backend/vbd/${key}/error`,
  };
};

/** A vbd that Xen's own script has attached, and that blkback has closed since. */
async function closedByXen(fixture: HotplugFixture, domid: number): Promise<Vbd> {
  const vbd = await fixture.vbd(fixture.image(), {
    ...own(domid),
    script: '/etc/xen/scripts/block',
  });
  assert.equal((await runXenBlock(fixture.bed, vbd, 'add')).status, 0);
  await fixture.logged(vbd, 'opened');
  await fixture.close(vbd);
  await fixture.logged(vbd, 'closed');
  return vbd;
}

async function closed(fixture: HotplugFixture, params: string, domid: number): Promise<Vbd> {
  const vbd = await fixture.vbd(params, own(domid));
  await fixture.attach(vbd);
  await fixture.close(vbd);
  await fixture.logged(vbd, 'closed');
  return vbd;
}

const endGuest = async (fixture: HotplugFixture, domid: number): Promise<void> => {
  await fixture.blkback.release('events', `${domid}/${DEVID}`).catch(() => undefined);
  await deleteVbd(fixture.store, vbdOf(domid));
};

export const LEFTOVERS: readonly Leftover[] = [
  {
    what: 'an add that was killed after its publication',
    kind: 'record-left',
    leave: async (fixture, domid) => {
      const vbd = await fixture.vbd(kept(fixture), own(domid));
      await fixture.blkback.hold('events', vbd.key);
      const adding = fixture.startScript(vbd, 'add');
      await fixture.published(vbd);
      adding.process.kill('SIGKILL');
      await adding.ended;
      await deleteVbd(fixture.store, vbd);
      await fixture.blkback.release('events', vbd.key);
      return recordOf(fixture, domid);
    },
  },
  {
    what: 'a loop device that does not clear itself, of a vbd whose nodes were deleted',
    kind: 'record-left',
    leave: async (fixture, domid) => {
      const vbd = await fixture.vbd(kept(fixture), own(domid));
      await fixture.attach(vbd);
      await fixture.delete(vbd);
      return recordOf(fixture, domid);
    },
  },
  {
    what: 'a disk whose driver domain is gone',
    kind: 'backend-domain-gone',
    left: /driver domain that is started anew/,
    leave: async ({ store }, domid) => {
      await store.write(`/local/domain/${domid}/name`, 'guest');
      const backend = `/local/domain/4711/backend/vbd/${domid}/${DEVID}`;
      await store.write(`/libxl/${domid}/device/vbd/${DEVID}/backend`, backend);
      return `disk ${DEVID} of guest ${domid}`;
    },
    tidy: async ({ store }, domid) => {
      await store.remove(`/local/domain/${domid}`);
      await store.remove(`/libxl/${domid}`);
    },
  },
  {
    what: 'a guest that ended after the script was uninstalled',
    kind: 'backend-without-guest',
    leave: async (fixture, domid) => {
      const vbd = await closed(fixture, kept(fixture), domid);
      await fixture.store.remove(`/local/domain/${domid}`);
      return vbd.backendPath;
    },
  },
  {
    what: 'a guest that is there, and has removed its own frontend',
    kind: 'backend-without-frontend',
    left: /its guest is there, and its toolstack may be about to detach it/,
    leave: async (fixture, domid) => {
      const vbd = await closed(fixture, kept(fixture), domid);
      await fixture.store.remove(vbd.frontendPath);
      return vbd.backendPath;
    },
    tidy: async (fixture, domid) => {
      await fixture.detach(vbdOf(domid).backendPath);
      await endGuest(fixture, domid);
    },
  },
  {
    what: 'what another script has published, of which nothing is there any more',
    kind: 'device-gone',
    left: /only block-drbd knows how device 487:6 is taken away/,
    leave: async (fixture, domid) => {
      const script = '/etc/xen/scripts/block-drbd';
      const extra = { 'physical-device': '1e7:6', diskseq: '2' };
      const vbd = await fixture.create('drbd:x', { ...own(domid), script, extra });
      await fixture.logged(vbd, 'failed');
      return vbd.key;
    },
    tidy: endGuest,
  },
  {
    what: 'a vbd that is closed, and for which no remove has run',
    kind: 'not-open',
    leave: async (fixture, domid) => (await closed(fixture, kept(fixture), domid)).key,
  },
  {
    what: "the loop device of Xen's block, which was not taken away",
    kind: 'other-script',
    leave: async (fixture, domid) => (await closedByXen(fixture, domid)).key,
  },
  {
    what: "the loop device of Xen's block, of a guest that is gone",
    kind: 'backend-without-guest',
    leave: async (fixture, domid) => {
      const vbd = await closedByXen(fixture, domid);
      await fixture.store.remove(`/local/domain/${domid}`);
      return vbd.backendPath;
    },
  },
  {
    what: 'the device of a script that nobody here knows',
    kind: 'other-script',
    left: /only block-nbd knows how \/dev\/nbd3 is taken away/,
    leave: async (fixture, domid) => {
      const script = '/etc/xen/scripts/block-nbd';
      const extra = { node: '/dev/nbd3', state: '6', online: '0' };
      return (await fixture.create('nbd:x', { ...own(domid), script, extra })).key;
    },
    tidy: endGuest,
  },
  {
    what: 'a guest that ended after its add had failed, as /run was full',
    kind: 'backend-without-guest',
    leave: async (fixture, domid) => {
      const vbd = await fixture.vbd(kept(fixture), own(domid));
      const { runDirectory } = fixture.bed;
      spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', runDirectory]);
      try {
        spawnSync('dd', ['if=/dev/zero', `of=${runDirectory}/filler`, 'bs=4k', 'count=100']);
        assert.equal((await fixture.script(vbd, 'add')).status, 1);
        assert.match((await fixture.node(vbd, 'hotplug-error')) ?? '', /could not be written/);
      } finally {
        spawnSync('umount', ['--lazy', runDirectory]);
      }
      await fixture.store.remove(`/local/domain/${domid}`);
      return vbd.backendPath;
    },
  },
  {
    what: 'an add that has failed, of a guest that is there',
    kind: 'attach-failed',
    left: /its guest is there: give the disk up, or mend the cause and run xen-blkback add/,
    leave: async (fixture, domid) => {
      const vbd = await fixture.vbd('/nonexistent/image', own(domid));
      await fixture.attach(vbd).catch(() => undefined);
      return vbd.key;
    },
    tidy: endGuest,
  },
  {
    what: 'a publication whose device is gone',
    kind: 'device-gone',
    leave: async (fixture, domid) => {
      const extra = { 'physical-device': '1e7:5', diskseq: '2' };
      const vbd = await fixture.create('/nowhere', { ...own(domid), extra });
      await fixture.logged(vbd, 'failed');
      return vbd.key;
    },
    tidy: endGuest,
  },
  {
    what: 'a publication whose number belongs to another device now, which is in use',
    kind: 'diskseq-differs',
    leave: async (fixture, domid, end) => {
      const other = await attachLoop(fixture.image());
      end.defer(() => other.detach());
      const fd = openSync(other.path, 'r');
      end.defer(() => closeSync(fd));
      const extra = { 'physical-device': other.devnum, diskseq: '1' };
      const vbd = await fixture.create('/nowhere', { ...own(domid), extra });
      await fixture.logged(vbd, 'refused');
      return vbd.key;
    },
    tidy: endGuest,
  },
  {
    what: 'a publication that is another by now, of a device that blkback has open',
    kind: 'diskseq-differs',
    left: /blkback has device 7:\d+ open for the guest/,
    leave: async (fixture, domid) => {
      const vbd = await fixture.vbd(fixture.image(), own(domid));
      await fixture.attach(vbd);
      await fixture.store.write(`${vbd.backendPath}/diskseq`, '1');
      return vbd.key;
    },
    tidy: endGuest,
  },
  {
    what: 'a device that blkback has open, although its nodes were deleted',
    kind: 'nodes-gone',
    left: /blkback has the device open, and closes it when the guest is gone/,
    leave: async (fixture, domid) => {
      const vbd = await fixture.vbd(fixture.image(), own(domid));
      await fixture.attach(vbd);
      await fixture.blkback.hold('events', vbd.key);
      await fixture.store.remove(vbd.backendPath);
      return vbd.key;
    },
    tidy: endGuest,
  },
  {
    what: 'a disk that dom0 was given and has not taken',
    kind: 'dom0-waits',
    left: /a boot loader may be about to read it/,
    leave: async (fixture) => {
      const vbd = await fixture.vbd(fixture.image(), own(0));
      await fixture.attach(vbd);
      return vbd.key;
    },
    tidy: (fixture) => endGuest(fixture, 0),
  },
  {
    what: 'two guests that write the same bytes',
    kind: 'double-writer',
    left: /only you know which of them is to lose its disk/,
    leave: async (fixture, domid) => {
      const target = `path=${fixture.image()},sharing=allow`;
      for (const guest of [domid, domid + 1000]) {
        await fixture.attach(await fixture.vbd(target, own(guest)));
      }
      return `${domid}/${DEVID} and ${domid + 1000}/${DEVID}`;
    },
    tidy: async (fixture, domid) => {
      await endGuest(fixture, domid);
      await endGuest(fixture, domid + 1000);
    },
  },
  {
    what: "the kernel's error about a vbd that is gone",
    kind: 'error-left',
    leave: async (fixture, domid) => {
      const { errorPath } = vbdOf(domid);
      await fixture.store.write(errorPath, '2 creating vbd structure');
      return errorPath;
    },
  },
  {
    what: 'a record that cannot be read',
    kind: 'record-unreadable',
    leave: async (fixture, domid) => {
      writeFileSync(recordOf(fixture, domid), '{');
      return recordOf(fixture, domid);
    },
  },
  {
    what: 'a record that was not written to its end',
    kind: 'record-unreadable',
    leave: async (fixture, domid) => {
      const path = `${recordOf(fixture, domid)}.new`;
      writeFileSync(path, '');
      return path;
    },
  },
  {
    what: 'a loop device that nobody is seen to use',
    kind: 'loop-unexplained',
    left: /it may belong to an administrator .*; gc --loops ends it if nobody has it open/,
    leave: async (fixture, _, end) => {
      const loop = await attachLoop(fixture.image());
      end.defer(() => loop.detach());
      return loop.path;
    },
    tidy: async (fixture) => {
      for (const loop of fixture.loops()) spawnSync('losetup', ['--detach', loop]);
    },
  },
];
