import assert from 'node:assert/strict';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';

describe('parseVbdPath', () => {
  it('reads the relative path that libxl passes', () => {
    assert.deepEqual(parseVbdPath('backend/vbd/7/51712'), {
      backend: 'backend/vbd/7/51712',
      domid: 7,
      devid: 51712,
      error: 'error/backend/vbd/7/51712/error',
      sysfsName: 'vbd-7-51712',
    });
  });

  it('reads an absolute path as the same vbd, of a backend domain that is still to be compared', () => {
    assert.deepEqual(parseVbdPath('/local/domain/12/backend/vbd/0/268435456'), {
      ...parseVbdPath('backend/vbd/0/268435456'),
      backendDomid: 12,
    });
  });

  for (const path of [
    '',
    'backend',
    'backend/vbd',
    'backend/vbd/7',
    'backend/vbd/7/',
    'backend/vbd/7/51712/',
    'backend/vbd/7/51712/state',
    'backend/vbd/7/51712\n',
    ' backend/vbd/7/51712',
    '/backend/vbd/7/51712',
    'backend//vbd/7/51712',
    'backend/vif/7/0',
    'backend/qdisk/7/51712',
    'backend/vbd/x/51712',
    'backend/vbd/7/xvda',
    'backend/vbd/-1/51712',
    'backend/vbd/7/-1',
    'backend/vbd/07/51712',
    'backend/vbd/7/051712',
    'backend/vbd/7/0xca00',
    'backend/vbd/../7/51712',
    'backend/vbd/100000/1',
    'backend/vbd/7/10000000000',
    '/local/domain/0/backend/vbd/7/51712/',
    '/local/domain/x/backend/vbd/7/51712',
    '/local/domain/00/backend/vbd/7/51712',
    '/local/domain/backend/vbd/7/51712',
    'local/domain/0/backend/vbd/7/51712',
    '/vm/0/backend/vbd/7/51712',
  ]) {
    it(`does not take ${JSON.stringify(path)}`, () => {
      assert.equal(parseVbdPath(path), undefined);
    });
  }
});
