import assert from 'node:assert/strict';
import { join } from 'node:path';
import { encodeUnixAddress, sendDatagram } from '../../../src/linux/datagram.js';
import { DatagramReceiver } from '../../bed/datagrams.js';
import { temporaryDirectory } from '../../bed/paths.js';

describe('a datagram', () => {
  it('arrives as it was sent, at a path and at an abstract name', async () => {
    const name = `xen-test-${process.pid}`;
    for (const address of [join(temporaryDirectory(), 'socket'), `@${name}`]) {
      await using receiver = await DatagramReceiver.bind(address);
      assert.equal(sendDatagram(address, Buffer.from('one\nA=\0ÿ')), true);
      assert.equal(await receiver.heard(/^one/), 'one\nA=\0ÿ');
    }
  });

  it('that nobody is there to receive says so', () => {
    assert.equal(sendDatagram('/nonexistent/socket', Buffer.from('x')), false);
    assert.equal(sendDatagram('@xen-test-nobody', Buffer.from('x')), false);
  });

  it('has an address of two bytes and the name', () => {
    assert.deepEqual(encodeUnixAddress('/a'), Buffer.from([1, 0, 0x2f, 0x61, 0]));
    assert.deepEqual(encodeUnixAddress('@a'), Buffer.from([1, 0, 0, 0x61]));
    assert.equal(encodeUnixAddress(`/${'a'.repeat(106)}`)?.length, 110);
    for (const bad of ['', 'relative', 'vsock:2:1', '/a\0b', `/${'a'.repeat(107)}`]) {
      assert.equal(encodeUnixAddress(bad), undefined, bad);
    }
  });
});
