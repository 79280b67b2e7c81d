import assert from 'node:assert/strict';
import { hasLoopDiskseq, kernelVersion } from '../../../src/linux/kernel-version.js';
import { sendsLoopEvents } from '../../../src/topology/loop-backing.js';

describe('hasLoopDiskseq', () => {
  for (const [version, tells] of [
    ['6.18.44-fc-v595', true],
    ['6.12.117+deb13-amd64', true],
    ['6.5.0', true],
    ['6.4.16', false],
    ['6.1.0-49-amd64', false],
    ['6.1.38', false],
    ['6.1.39', true],
    ['6.1.176-1', true],
    ['5.15.200', false],
    ['7.0.0-rc1', true],
    ['rubbish', false],
  ] as const) {
    it(`${tells ? 'holds' : 'is not relied on'} for Linux ${version}`, () => {
      assert.equal(hasLoopDiskseq(version), tells);
    });
  }
});

describe('sendsLoopEvents', () => {
  for (const [version, tells] of [
    ['6.18.44-fc-v595', true],
    ['7.3.4', true],
    ['6.1.176', true],
    ['6.1.175', false],
    ['6.12.117', false],
    ['6.1.0-49-amd64', false],
    ['rubbish', false],
  ] as const) {
    it(`${tells ? 'holds' : 'is not relied on'} for Linux ${version}`, () => {
      assert.equal(sendsLoopEvents(version), tells);
    });
  }
});

describe('kernelVersion', () => {
  it('is in the build of a Debian kernel, and else in the release', () => {
    const build = '#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-07-04)';
    assert.equal(kernelVersion('6.1.0-49-amd64', build), '6.1.176');
    assert.equal(kernelVersion('6.18.44', '#1 SMP PREEMPT_DYNAMIC @0'), '6.18.44');
  });
});
