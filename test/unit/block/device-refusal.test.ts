import assert from 'node:assert/strict';
import { meaningOf, whyReadOnly } from '../../../src/block/device-refusal.js';

describe('What a driver means by an error', () => {
  for (const [device, code, meaning] of [
    ['drbd0', 'EMEDIUMTYPE', /secondary.*drbdadm primary/],
    ['drbd0', 'EROFS', /secondary/],
    ['drbd0', 'ENODATA', /up-to-date/],
    ['sr0', 'ENOMEDIUM', /no medium in the drive/],
    ['sda', 'EPERM', /device cgroup/],
    ['sda', 'EACCES', /security module/],
    ['sda', 'EROFS', /its driver refuses/],
    ['loop3', 'ENXIO', /no file/],
    ['md0', 'ENXIO', /not set up/],
  ] as const) {
    it(`${code} of ${device}`, () => assert.match(meaningOf(device, code) ?? '', meaning));
  }

  it('is not guessed where nothing is known of it', () => {
    assert.equal(meaningOf('sda', 'EIO'), undefined);
    assert.equal(meaningOf('drbdx', 'EIO'), undefined);
    assert.equal(whyReadOnly('sda'), undefined);
  });

  it('is why a disk is read-only where DRBD keeps it so', () => {
    assert.match(whyReadOnly('drbd12') ?? '', /secondary/);
  });
});
