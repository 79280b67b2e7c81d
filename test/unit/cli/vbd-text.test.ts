import assert from 'node:assert/strict';
import {
  alignColumns,
  describeDiskseq,
  describeOpened,
  toJson,
} from '../../../src/cli/vbd-text.js';
import type { VbdSummary } from '../../../src/vbd/summarize-vbd.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import { describeXenbusState } from '../../../src/vbd/xenbus-state.js';

const vbd = parseVbdPath('backend/vbd/7/51712') as VbdPath;
const attached: VbdSummary = {
  vbd,
  isRemote: false,
  nodesGone: false,
  openDevnum: undefined,
  domainName: 'work',
  vdev: 'xvda',
  mode: 'w',
  target: '/srv/a.img',
  state: '4',
  online: true,
  device: '/dev/loop3',
  devnum: { major: 7, minor: 3 },
  diskseq: 0xffff_ffff_ffff_ffffn,
  presentDiskseq: 0xffff_ffff_ffff_ffffn,
  opened: { by: 'sysfs', open: true },
  hotplugStatus: 'connected',
  error: undefined,
};

describe('describeXenbusState', () => {
  for (const [state, text] of [
    ['2', '2 (InitWait)'],
    ['6', '6 (Closed)'],
    ['9', '9'],
    ['x', 'x'],
    [undefined, '-'],
  ] as const) {
    it(`of ${state} is ${text}`, () => assert.equal(describeXenbusState(state), text));
  }
});

describe('describeOpened', () => {
  for (const [opened, text] of [
    [{ by: 'key', open: true }, 'yes (key)'],
    [{ by: 'sysfs', open: false }, 'no (sysfs)'],
    [{ by: undefined, open: undefined }, 'unknown'],
  ] as const) {
    it(`says ${text}`, () => assert.equal(describeOpened({ ...attached, opened }), text));
  }
});

describe('describeDiskseq', () => {
  it('is the number alone while the device is the one that was published', () => {
    assert.equal(describeDiskseq(attached), '18446744073709551615');
  });
  it('shows the present number where the device is another by now', () => {
    assert.equal(describeDiskseq({ ...attached, diskseq: 5n, presentDiskseq: 6n }), '5 (now 6)');
  });
  it('says that there is no such device any more', () => {
    const gone = { ...attached, diskseq: 5n, presentDiskseq: undefined };
    assert.equal(describeDiskseq(gone), '5 (now no device)');
  });
  it('says that none was published, and that nothing was', () => {
    assert.equal(describeDiskseq({ ...attached, diskseq: undefined }), 'none');
    assert.equal(describeDiskseq({ ...attached, devnum: undefined }), '-');
  });
});

describe('toJson', () => {
  it('keeps large numbers whole, and says null where there is nothing', () => {
    const json = JSON.parse(JSON.stringify(toJson({ ...attached, domainName: undefined })));
    assert.equal(json.diskseq, '18446744073709551615');
    assert.deepEqual([json.domain, json.devnum, json.opened], [null, '7:3', true]);
  });
});

describe('alignColumns', () => {
  it('makes columns as wide as their widest cell, without trailing blanks', () => {
    assert.equal(
      alignColumns([
        ['A', 'B'],
        ['long', ''],
      ]),
      'A     B\nlong',
    );
  });
  it('keeps every row on its line, whatever is in a cell', () => {
    assert.equal(alignColumns([['a\nb  c\u001b[2J']]), 'a\\x0ab  c\\x1b[2J');
  });
});
