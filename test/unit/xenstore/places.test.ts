import assert from 'node:assert/strict';
import { xenstoredPlaces } from '../../../src/xenstore/places.js';

const DEVICES = ['/dev/xen/xenbus', '/proc/xen/xenbus'];

describe('The places of a xenstored', () => {
  it('are its usual sockets, then the devices', () => {
    const sockets = ['/run/xenstored/socket', '/var/run/xenstored/socket'];
    assert.deepEqual(xenstoredPlaces({}), [...sockets, ...DEVICES]);
    assert.deepEqual(xenstoredPlaces({ XENSTORED_PATH: '' }), [...sockets, ...DEVICES]);
  });

  it('are the socket in XENSTORED_RUNDIR, then the devices', () => {
    assert.deepEqual(xenstoredPlaces({ XENSTORED_RUNDIR: '/run/x' }), [
      '/run/x/socket',
      ...DEVICES,
    ]);
  });

  it('are what XENSTORED_PATH names, and that alone', () => {
    const env = { XENSTORED_PATH: '/dev/pts/3', XENSTORED_RUNDIR: '/run/x' };
    assert.deepEqual(xenstoredPlaces(env), ['/dev/pts/3']);
  });
});
