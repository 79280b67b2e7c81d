import assert from 'node:assert/strict';
import type { VbdPublication } from '../../../src/vbd/list-publications.js';
import type { OpenVbd } from '../../../src/vbd/open-vbds.js';
import { type VbdPath, vbdPath } from '../../../src/vbd/vbd-path.js';
import { joinUses, type VbdUse } from '../../../src/vbd/vbd-uses.js';

const vbd = vbdPath(7, 51712);
const device = (minor: number) => ({ major: 7, minor });

function open(minor: number, which = vbd): OpenVbd {
  const use = { open: true, diskseq: undefined, pending: false } as const;
  return { vbd: which, devnum: device(minor), writable: true, ...use };
}

function published(minor: number | undefined, mode = 'w'): VbdPublication {
  const named = minor === undefined ? undefined : { devnum: device(minor), diskseq: 5n };
  return { vbd, physicalDevice: `7:${minor}`, diskseq: '5', mode, device: named };
}

function describeUses(uses: readonly VbdUse[]): string[] {
  return uses.map((use) => {
    const state = use.open ? 'open' : 'published';
    return `${use.vbd.domid} 7:${use.devnum.minor} ${state} ${use.writable ? 'w' : 'r'}`;
  });
}

describe('joinUses', () => {
  it('has a vbd once that was seen open twice, with the device that it had last', () => {
    const other = vbdPath(8, 51712);
    assert.deepEqual(describeUses(joinUses([open(1), open(3, other), open(2)], [], [])), [
      '7 7:2 open w',
      '8 7:3 open w',
    ]);
  });

  it('has what is published of a vbd once where blkback has it open', () => {
    assert.deepEqual(describeUses(joinUses([open(1)], [published(1)], [])), ['7 7:1 open w']);
  });

  it('has both where blkback has another device open than the one that is published', () => {
    assert.deepEqual(describeUses(joinUses([open(1)], [published(2, 'r')], [])), [
      '7 7:1 open w',
      '7 7:2 published r',
    ]);
  });

  it('tells of what is published whether blkback may still open it', () => {
    const pendingOf = (idle: readonly VbdPath[]): boolean[] =>
      joinUses([], [published(1)], idle).map(({ pending }) => pending);
    assert.deepEqual(pendingOf([vbd]), [true]);
    assert.deepEqual(pendingOf([]), [false]);
  });

  it('leaves out other numbers than those that are asked for', () => {
    const other = vbdPath(8, 51712);
    const vbds = [open(1), open(3, other)];
    const uses = joinUses(vbds, [published(2), published(4)], [], [device(2), device(3)]);
    assert.deepEqual(describeUses(uses), ['8 7:3 open w', '7 7:2 published w']);
  });

  it('leaves out what names no device to blkback', () => {
    assert.deepEqual(describeUses(joinUses([], [published(undefined)], [])), []);
  });
});
