import assert from 'node:assert/strict';
import { decodePermissions, encodePermissions } from '../../../src/xenstore/permissions.js';
import type { Permission } from '../../../src/xenstore/xenstore.js';
import { isXenstoreError } from '../../../src/xenstore/xenstore-error.js';

describe('XenStore permissions', () => {
  it('are sent as a letter and a domain each', () => {
    const list: Permission[] = [
      { domid: 0, access: 'n' },
      { domid: 1, access: 'r' },
      { domid: 2, access: 'w' },
      { domid: 65535, access: 'b' },
    ];
    assert.equal(encodePermissions('a', list), 'n0\0r1\0w2\0b65535\0');
    assert.deepEqual(decodePermissions(['n0', 'r1', 'w2', 'b65535']), list);
  });

  it('are none where an entry makes no sense', () => {
    for (const entry of ['', 'r', '7', 'x7', 'r-1', 'r7 ', 'r123456']) {
      assert.equal(decodePermissions(['n0', entry]), undefined, entry);
    }
  });

  const bad: Record<string, readonly { domid: number; access: string }[]> = {
    'an empty list': [],
    'a negative domain': [{ domid: -1, access: 'r' }],
    'half a domain': [{ domid: 0.5, access: 'r' }],
    'a domain too high': [{ domid: 65536, access: 'r' }],
    'another letter': [{ domid: 0, access: 'x' }],
  };
  for (const [what, list] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => encodePermissions('a/b', list as readonly Permission[]),
        (error) => isXenstoreError(error, 'EINVAL') && error.path === 'a/b',
      );
    });
  }
});
