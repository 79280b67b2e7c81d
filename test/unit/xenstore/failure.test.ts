import assert from 'node:assert/strict';
import { constants } from 'node:os';
import {
  closeFailure,
  openFailure,
  requestFailure,
  timeoutFailure,
} from '../../../src/xenstore/failure.js';

const { errno } = constants;

describe('XenStore failures', () => {
  it('name the operation, the path and the reason', () => {
    const error = requestFailure('read', 'backend/vbd/7/51712/params', errno.ENOENT);
    assert.equal(error.message, 'XenStore read of backend/vbd/7/51712/params failed: no such node');
    assert.equal(error.name, 'XenstoreError');
    const { code, syscall, path } = error;
    assert.deepEqual(
      { code, syscall, path, errno: error.errno },
      { code: 'ENOENT', syscall: 'XS_READ', path: 'backend/vbd/7/51712/params', errno: 2 },
    );
  });

  it('keep the name of an errno that has no words', () => {
    const error = requestFailure('write', 'a', errno.EROFS);
    assert.equal(error.code, 'EROFS');
    assert.equal(error.message, 'XenStore write of a failed: EROFS');
  });

  it('have no path where the operation has none', () => {
    const error = requestFailure('end', '', errno.EAGAIN);
    assert.equal(error.path, undefined);
    assert.match(error.message, /^XenStore end of a transaction failed: another client changed/);
  });

  it('tell a quota from a refusal', () => {
    assert.match(requestFailure('write', 'a', errno.ENOSPC).message, /the quota .* remove nodes/);
    assert.equal(requestFailure('write', 'a', errno.EACCES).code, 'EACCES');
    // xenstored answers E2BIG to too many watches, and to an answer that is longer than a message.
    assert.match(requestFailure('watch', 'a', errno.E2BIG).message, /its quota of watches/);
    assert.match(requestFailure('directory', 'a', errno.E2BIG).message, /too large/);
  });

  for (const [op, errnos, quota] of [
    ['watch', [errno.E2BIG, errno.ENOSPC], 'watches'],
    ['start', [errno.ENOSPC], 'transactions'],
    ['setPermissions', [errno.ENOSPC], 'permissions of one node'],
  ] as const) {
    it(`say which quota is reached, and what to do: ${quota}`, () => {
      for (const number of errnos) {
        const { message, errno: found } = requestFailure(op, 'a', number);
        assert.ok(message.includes(`has reached its quota of ${quota}: raise the quota`), message);
        assert.equal(found, number);
      }
    });
  }

  it('tell a path or value that is too long from a quota', () => {
    assert.match(requestFailure('write', 'a', errno.E2BIG).message, /it is too large/);
  });

  it('tell nobody there from an error of connecting', () => {
    for (const number of [errno.ENOENT, errno.ECONNREFUSED, errno.ENXIO]) {
      const error = openFailure(['/run/xenstored/socket'], number);
      assert.equal(error.code, 'ECONNREFUSED');
      assert.equal(error.errno, number);
      assert.match(error.message, /^cannot reach xenstored at \/run\/xenstored\/socket: is it run/);
    }
    const error = openFailure(['/run/xenstored/socket'], errno.EMFILE);
    assert.equal(error.code, 'EMFILE');
    assert.equal(error.message, 'cannot connect to xenstored at /run/xenstored/socket: EMFILE');
  });

  it('tell loss, end and deadline apart', () => {
    const lost = closeFailure('read', 'a', { lost: 'xenstored closed it' });
    assert.equal(lost.code, 'ECONNRESET');
    assert.equal(
      lost.message,
      'XenStore read of a failed: the connection to xenstored was lost: xenstored closed it',
    );
    assert.equal(closeFailure('read', 'a', 'closed').code, 'ECLOSED');
    assert.equal(timeoutFailure('read', 'a', 100).code, 'ETIMEDOUT');
  });
});
