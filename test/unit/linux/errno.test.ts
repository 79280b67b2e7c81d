import assert from 'node:assert/strict';
import { readFile, rmdir } from 'node:fs/promises';
import { BlkbackError, errorCode } from '../../../src/errors.js';
import {
  errnoName,
  isDeviceAbsent,
  isIoctlUnknown,
  isSystemError,
  isWriteRefused,
  SystemError,
} from '../../../src/linux/errno.js';
import { evaluateC } from './kernel-headers.js';

const named = (code: string, errno: number) => SystemError.fromErrno('open', code, errno);

describe('errnoName', () => {
  const names =
    'EPERM ENOENT EINTR EIO ENXIO EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL EMFILE ENOTTY ETXTBSY EFBIG ENOSPC EROFS ERANGE ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP EOPNOTSUPP ETIMEDOUT ESTALE EUCLEAN ENOMEDIUM ECANCELED';

  it('names what the drivers answer as asm-generic/errno.h does', () => {
    const wanted = names.split(' ');
    const numbers = evaluateC(['errno.h'], wanted).map(Number);
    assert.deepEqual(numbers.map(errnoName), wanted);
  });

  it('shows the number of one that has no name', () => {
    assert.equal(errnoName(4000), 'E4000');
  });
});

describe('SystemError', () => {
  it('says call, object and errno in one sentence, and carries them', () => {
    const error = SystemError.fromErrno('LOOP_CONFIGURE', '/dev/loop3', 16);
    assert.equal(error.message, 'LOOP_CONFIGURE /dev/loop3: device or resource busy (EBUSY)');
    assert.deepEqual(
      [error.name, error.code, error.errno, error.syscall],
      ['SystemError', 'EBUSY', 16, 'LOOP_CONFIGURE'],
    );
    assert.ok(error instanceof BlkbackError);
  });

  it('keeps the bare code where there is no phrase for it', () => {
    assert.equal(SystemError.fromErrno('use', 'x', 9).message, 'use x: EBADF');
  });

  it('takes over what Node says of a failed call, with a positive errno', async () => {
    for (const [call, code, errno] of [
      [() => readFile('/nonexistent'), 'ENOENT', 2],
      [() => readFile('/proc'), 'EISDIR', 21],
      [() => rmdir('/dev/null'), 'ENOTDIR', 20],
    ] as const) {
      const cause = await call().then(
        () => assert.fail('it did not fail'),
        (error: unknown) => error,
      );
      const error = SystemError.fromNode('call', 'object', cause);
      assert.deepEqual([error.code, error.errno, error.cause], [code, errno, cause]);
      assert.match(error.message, new RegExp(`^call object: .* \\(${code}\\)$`));
    }
  });

  it('makes do with an error that is none of Node’s', () => {
    const error = SystemError.fromNode('call', 'object', new Error('odd'));
    assert.equal(error.message, 'call object: odd');
    assert.equal(error.code, 'EIO');
    assert.equal(errorCode(SystemError.fromNode('call', 'object', 'text')), 'EIO');
  });
});

describe('The classes of errors', () => {
  const table: readonly (readonly [string, number, (error: unknown) => boolean])[] = [
    ...(
      [
        ['ENODEV', 19],
        ['ENXIO', 6],
        ['ENOENT', 2],
      ] as const
    ).map(([code, errno]) => [code, errno, isDeviceAbsent] as const),
    ...(
      [
        ['EROFS', 30],
        ['ETXTBSY', 26],
      ] as const
    ).map(([code, errno]) => [code, errno, isWriteRefused] as const),
    ...(
      [
        ['ENOTTY', 25],
        ['EOPNOTSUPP', 95],
        ['ENOSYS', 38],
      ] as const
    ).map(([code, errno]) => [code, errno, isIoctlUnknown] as const),
  ];
  for (const [code, errno, belongs] of table) {
    it(`count ${code} to ${belongs.name} alone`, () => {
      for (const predicate of [isDeviceAbsent, isWriteRefused, isIoctlUnknown]) {
        assert.equal(predicate(named(code, errno)), predicate === belongs, predicate.name);
      }
    });
  }

  it('hold only system errors', () => {
    assert.equal(isDeviceAbsent(Object.assign(new Error('x'), { code: 'ENOENT' })), false);
    assert.equal(isSystemError(undefined, 'ENOENT'), false);
    assert.equal(isSystemError(named('ENOENT', 2), 'EBUSY', 'ENOENT'), true);
    assert.equal(isSystemError(named('ENOENT', 2)), false);
  });
});
