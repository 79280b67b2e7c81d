import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFaults } from '../../../src/audit/find-faults.js';
import type { HostState, HostVbd } from '../../../src/audit/host-state.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { projectRoot } from '../../bed/paths.js';

const NOTHING: HostState = {
  ...{ vbds: [], loops: [], overlaps: [], layers: [], errors: [] },
  ...{ orphans: [], records: [], strayFiles: [] },
};
const vbd = vbdPath(7, 51712);
const device = { major: 7, minor: 3 };
const published = { devnum: device, diskseq: 5n, presentDiskseq: 5n, isPresent: true };
const ATTACHED: HostVbd = {
  ...{ vbd, nodesGone: false, online: true, state: '4', script: 'block-diskseq' },
  ...{ isScriptUnknown: false, frontend: '/local/domain/7/device/vbd/51712' },
  ...{ frontendGone: false, guestGone: false },
  ...{ hotplugStatus: 'connected', hotplugError: undefined, node: undefined },
  ...{ published, open: device },
};
const GUEST_GONE = { frontendGone: true, guestGone: true };
const LAYER = {
  ...{ name: 'xenvbd-7-51712-aa', uuid: 'XENVBD-7-51712-aa', devnum: { major: 253, minor: 0 } },
  ...{
    openCount: 0,
    targets: [],
    readOnly: false,
    live: true,
    suspended: false,
    deferredRemove: false,
  },
};
const kinds = (change: Partial<HostState>): string[] =>
  findFaults({ ...NOTHING, ...change }).map(({ kind }) => kind);
const ofVbd = (change: Partial<HostVbd>): string[] => kinds({ vbds: [{ ...ATTACHED, ...change }] });

describe('judge', () => {
  it('finds nothing wrong with an attached vbd, with one that waits, nor with one that is removed', () => {
    assert.deepEqual(ofVbd({}), []);
    const idle = { open: undefined, published: undefined, hotplugStatus: undefined };
    assert.deepEqual(ofVbd({ ...idle, state: '2' }), []);
    assert.deepEqual(ofVbd({ ...idle, state: '6', online: false }), []);
    // A guest that reboots closes its frontend too.
    assert.deepEqual(ofVbd({ open: undefined, state: '6', online: true }), []);
    assert.deepEqual(kinds({}), []);
  });

  it('tells what blkback has open from what it has not', () => {
    assert.deepEqual(ofVbd({ nodesGone: true, published: undefined }), ['nodes-gone']);
    assert.deepEqual(ofVbd({ frontendGone: true }), ['nodes-gone']);
    assert.deepEqual(ofVbd({ ...GUEST_GONE, open: undefined }), ['backend-without-guest']);
  });

  it('takes nothing from a guest that is there and has removed its own frontend', () => {
    const found = findFaults({
      ...NOTHING,
      vbds: [{ ...ATTACHED, open: undefined, frontendGone: true }],
    });
    assert.deepEqual(
      found.map(({ kind, repair }) => [kind, repair]),
      [['backend-without-frontend', undefined]],
    );
  });

  it('leaves what another script has published, also where it has written no node', () => {
    const foreign = { script: 'block-drbd', isScriptUnknown: true, open: undefined };
    for (const [change, kind] of [
      [{ published: { ...published, isPresent: false } }, 'device-gone'],
      [{ published: { ...published, presentDiskseq: 6n } }, 'diskseq-differs'],
      [{ state: '6', online: false }, 'other-script'],
      [GUEST_GONE, 'backend-without-guest'],
    ] as const) {
      const found = findFaults({ ...NOTHING, vbds: [{ ...ATTACHED, ...foreign, ...change }] });
      assert.deepEqual(
        found.map((finding) => [finding.kind, finding.repair, finding.leftBecause]),
        [[kind, undefined, 'only block-drbd knows how device 7:3 is taken away']],
      );
    }
  });

  it('finds a disk that dom0 was given and has not taken, and no other that waits', () => {
    const own = { vbd: vbdPath(0, 51712) };
    assert.deepEqual(ofVbd({ ...own, state: '2' }), ['dom0-waits']);
    assert.deepEqual(ofVbd({ ...own, state: '4' }), []);
    assert.deepEqual(ofVbd({ state: '2' }), [], 'a guest that has not started yet');
    assert.deepEqual(ofVbd({ ...own, state: '2', nodesGone: true }), ['nodes-gone']);
  });

  it('leaves a layer, a record and an error alone while their vbd is there', () => {
    const left = {
      layers: [{ vbd, layer: LAYER }],
      records: [{ vbd, path: '/run/r' }],
      errors: [{ vbd, text: '2' }],
    };
    assert.deepEqual(kinds(left), ['layer-left', 'record-left', 'error-left']);
    assert.deepEqual(kinds({ ...left, vbds: [ATTACHED] }), []);
    const open = [{ vbd, layer: { ...LAYER, openCount: 1 } }];
    assert.deepEqual(kinds({ layers: open }), [], 'somebody has it open');
  });

  it('repairs nothing that anybody has open, nor what may be somebody’s', () => {
    const loop = {
      path: '/dev/loop1',
      devnum: device,
      diskseq: 3n,
      backingFile: '/a',
      autoclear: false,
    };
    const found = findFaults({
      ...NOTHING,
      vbds: [{ ...ATTACHED, ...GUEST_GONE, published: { ...published, presentDiskseq: 6n } }],
      loops: [loop, { ...loop, autoclear: true }],
      overlaps: [{ writer: vbd, other: vbdPath(8, 1), device: '/dev/loop1' }],
    });
    assert.ok(found.length >= 5);
    assert.ok(found.every(({ repair }) => repair === undefined));
    assert.ok(found.every(({ leftBecause = '' }) => leftBecause.length > 10));
  });

  it('repairs a loop device that nobody uses where that is asked for, unless it clears itself', () => {
    const loop = { path: '/dev/loop1', devnum: device, diskseq: 3n, backingFile: '/a' };
    const loops = [
      { ...loop, autoclear: false },
      { ...loop, autoclear: true },
    ];
    const found = findFaults({ ...NOTHING, loops }, { loops: true });
    assert.deepEqual(
      found.map(({ repair }) => repair?.action),
      ['clear-loop', undefined],
    );
  });

  it('takes back a stale publication only while blkback has nothing open', () => {
    for (const change of [{ isPresent: false }, { presentDiskseq: 6n }]) {
      const stale = { published: { ...published, ...change } };
      const repairs = (more: Partial<HostVbd>) =>
        findFaults({ ...NOTHING, vbds: [{ ...ATTACHED, ...stale, ...more }] }).map(
          ({ repair }) => repair?.action,
        );
      assert.deepEqual(repairs({}), [undefined]);
      assert.deepEqual(repairs({ open: undefined, state: '2' }), ['detach']);
    }
  });

  it("ends what Xen's block has made, and leaves what another script has made", () => {
    const done = { open: undefined, state: '6', online: false, node: '/dev/loop3' };
    const of = (more: Partial<HostVbd>) =>
      findFaults({ ...NOTHING, vbds: [{ ...ATTACHED, ...done, ...more }] }).map(
        ({ kind, repair }) => `${kind} ${repair?.action ?? 'left'}`,
      );
    assert.deepEqual(of({ script: 'block' }), ['other-script detach']);
    assert.deepEqual(of({ script: 'block-nbd' }), ['other-script left']);
    assert.deepEqual(of({ script: 'block', ...GUEST_GONE }), [
      'backend-without-guest remove-backend',
    ]);
    assert.deepEqual(of({ script: 'block-nbd', ...GUEST_GONE }), ['backend-without-guest left']);
  });

  it('has each kind in the table of docs/audit.md, with what gc does', () => {
    const table = readFileSync(join(projectRoot, 'docs/audit.md'), 'utf8');
    const listed = [...table.matchAll(/^\| `([\w-]+)` \|.*\| (\w[^|]*) \|$/gm)].map(
      ([, kind, gc]) => `${kind} ${gc}`,
    );
    const schema = readFileSync(join(projectRoot, 'docs/json.schema.json'), 'utf8');
    const kinds: string[] = JSON.parse(schema).$defs.finding.properties.kind.enum;
    assert.deepEqual(
      listed.map((row) => row.split(' ')[0]),
      kinds,
    );
    const never = listed.filter((row) => / no: /.test(row)).map((row) => row.split(' ')[0]);
    const guest = ['attach-failed', 'backend-domain-gone', 'backend-without-frontend'];
    const open = ['dom0-waits', 'double-writer', 'nodes-gone'];
    assert.deepEqual(never, [...guest, ...open]);
  });
});
