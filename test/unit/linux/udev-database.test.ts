import assert from 'node:assert/strict';
import { parseUdevEntry } from '../../../src/linux/udev-database.js';

describe('An entry of udev’s database', () => {
  it('has the links of a mapper device, and the name that it had', () => {
    const text =
      'S:guests/web1\nS:disk/by-id/dm-name-vg0-web1\nI:123\nE:DM_NAME=vg0-web1\nG:systemd\n';
    assert.deepEqual(parseUdevEntry(text), {
      links: ['guests/web1', 'disk/by-id/dm-name-vg0-web1'],
      mapperName: 'vg0-web1',
    });
  });

  it('may say nothing', () => {
    assert.deepEqual(parseUdevEntry(''), { links: [], mapperName: undefined });
  });
});
