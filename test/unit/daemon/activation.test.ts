import assert from 'node:assert/strict';
import { takeActivatedSocket } from '../../../src/daemon/activation.js';

const PID = 4711;

describe('socket activation', () => {
  for (const [what, environment] of [
    ['where nothing was passed', {}],
    ['to another process', { LISTEN_PID: '4712', LISTEN_FDS: '1' }],
    ['of no socket', { LISTEN_PID: '4711', LISTEN_FDS: '0' }],
    ['to nobody in particular', { LISTEN_FDS: '1' }],
  ] as const) {
    it(`is none ${what}`, () =>
      assert.equal(takeActivatedSocket({ ...environment }, PID), undefined));
  }

  it('is refused with two sockets, which have no names of ours', () => {
    const environment = { LISTEN_PID: '4711', LISTEN_FDS: '2' };
    assert.throws(() => takeActivatedSocket(environment, PID), /LISTEN_FDS is "2": one socket/);
  });

  it('is refused with a descriptor that is no listening socket', () => {
    // Descriptor 3 of this process may be anything, but it is not a socket that listens.
    const environment = { LISTEN_PID: '4711', LISTEN_FDS: '1' };
    assert.throws(() => takeActivatedSocket(environment, PID), /no Unix stream socket/);
  });

  it('leaves nothing of it in the environment', () => {
    const environment = { LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'a', OTHER: 'b' };
    takeActivatedSocket(environment, PID);
    assert.deepEqual(environment, { OTHER: 'b' });
  });
});
