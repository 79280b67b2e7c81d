import assert from 'node:assert/strict';
import { resolveVbd } from '../../../src/cli/vbd-argument.js';

const LIBXL = {
  XENBUS_PATH: 'backend/vbd/7/51712',
  XENBUS_TYPE: 'vbd',
  XENBUS_BASE_PATH: 'backend',
};

describe('resolveVbd', () => {
  it('takes what libxl says in the environment', () => {
    assert.equal(resolveVbd(undefined, LIBXL).backend, 'backend/vbd/7/51712');
    assert.equal(resolveVbd(undefined, { XENBUS_PATH: LIBXL.XENBUS_PATH }).devid, 51712);
  });

  it('takes an absolute path and the base path that goes with it', () => {
    const environment = {
      XENBUS_PATH: '/local/domain/0/backend/vbd/7/51712',
      XENBUS_BASE_PATH: '/local/domain/0/backend',
    };
    assert.equal(resolveVbd(undefined, environment).domid, 7);
  });

  it('prefers an argument, to which the environment says nothing', () => {
    const environment = { ...LIBXL, XENBUS_TYPE: 'vif', XENBUS_BASE_PATH: 'other' };
    assert.equal(resolveVbd('backend/vbd/8/1', environment).domid, 8);
  });

  it('says how to name a vbd where none is named', () => {
    for (const [argument, environment] of [
      [undefined, {}],
      [undefined, { XENBUS_PATH: '' }],
      ['', LIBXL],
    ] as const) {
      assert.throws(() => resolveVbd(argument, environment), {
        code: 'EVBD',
        message: /XENBUS_PATH/,
      });
    }
  });

  it('refuses a path that names no vbd, shown on one line', () => {
    for (const path of ['backend/vif/7/0', 'backend/vbd/7', 'x\ny\u001b[2J']) {
      const expected = {
        name: 'HotplugError',
        code: 'EVBD',
        message: `${JSON.stringify(path)} is no backend path of a vbd: backend/vbd/<domid>/<devid> is needed, the same below /local/domain/<domid>/, or in short 7/51712, 7/xvda or 7`,
      };
      assert.throws(() => resolveVbd(path, {}), expected);
      assert.throws(() => resolveVbd(undefined, { XENBUS_PATH: path }), expected);
    }
  });

  for (const [name, value] of [
    ['XENBUS_TYPE', 'vif'],
    ['XENBUS_TYPE', ''],
    ['XENBUS_TYPE', 'qdisk'],
    ['XENBUS_BASE_PATH', 'frontend'],
    ['XENBUS_BASE_PATH', ''],
    ['XENBUS_BASE_PATH', '/local/domain/0/notbackend'],
  ] as const) {
    it(`refuses ${name}=${JSON.stringify(value)}, naming both`, () => {
      assert.throws(() => resolveVbd(undefined, { ...LIBXL, [name]: value }), {
        code: 'EVBD',
        message: new RegExp(`^${name} is ${JSON.stringify(value)}: `),
      });
    });
  }
});
