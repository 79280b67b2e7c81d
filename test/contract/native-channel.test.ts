import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AddonChannel } from '../../src/xenstore/addon-channel.js';
import { PacketParser } from '../../src/xenstore/packet.js';
import { temporaryDirectory } from '../bed/paths.js';
import { makeMessage } from '../store/server-messages.js';
import { assertReturnedTo, resources } from './resources.js';

/** A number of requests that is far more than the buffers of a socket hold. */
const MANY = 250;

describe('The channel to xenstored', () => {
  let directory: string;
  before(() => {
    directory = temporaryDirectory();
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('keeps what the socket does not take, and writes it when it does', async () => {
    const held = resources();
    const path = join(directory, 'slow');
    const server = createServer({ pauseOnConnect: true });
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const channel = AddonChannel.open(path);
    assert.ok(channel instanceof AddonChannel);
    channel.start({ onData: () => {}, onLost: (reason) => assert.fail(reason) });
    const socket = await accepted;
    for (let id = 1; id <= MANY; id++) {
      channel.write(makeMessage(11, id, 0, Buffer.alloc(3000, id)));
      if (id % 100 === 0) await nextTurn();
    }
    const ids: number[] = [];
    const parser = new PacketParser((_type, id, body) => {
      ids.push(id);
      return body.equals(Buffer.alloc(3000, id)) ? undefined : 'mixed the bytes up';
    });
    await new Promise<void>((resolve) => {
      socket.on('data', (bytes) => {
        assert.equal(parser.push(bytes), undefined);
        if (ids.length === MANY) resolve();
      });
      socket.resume();
    });
    assert.deepEqual(
      ids,
      [...ids.keys()].map((n) => n + 1),
    );
    channel.close();
    channel.close();
    await new Promise((resolve) => server.close(resolve));
    await assertReturnedTo(held);
  });

  it('names what keeps it from being opened', async () => {
    const { ENOENT, ENOTDIR, ECONNREFUSED, ENAMETOOLONG } = constants.errno;
    const dead = join(directory, 'dead');
    // The file is a socket without a listener.
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(dead, resolve));
    renameSync(dead, `${dead}-moved`);
    await new Promise((resolve) => server.close(resolve));
    const held = resources();
    assert.equal(AddonChannel.open(join(directory, 'none')), ENOENT);
    assert.equal(AddonChannel.open('/dev/null/socket'), ENOTDIR);
    assert.equal(AddonChannel.open(`${dead}-moved`), ECONNREFUSED);
    assert.equal(AddonChannel.open(`/${'x'.repeat(5000)}`), ENAMETOOLONG);
    await assertReturnedTo(held);
  });

  it('has one request under way on a device, and ten on a socket', async () => {
    class Device {
      open = () => 1;
      start = () => 0;
      write = () => 0;
      awaitWritable = () => {};
      close = () => {};
    }
    class Socket extends Device {
      override open = () => 0;
    }
    const limitsOf = (addon: Parameters<typeof AddonChannel.open>[1]) => {
      const channel = AddonChannel.open('', addon);
      assert.ok(channel instanceof AddonChannel);
      return [channel.window, channel.maxPacketSize];
    };
    assert.deepEqual(limitsOf({ Channel: Device }), [1, 4096]);
    assert.deepEqual(limitsOf({ Channel: Socket }), [10, 4112]);
  });

  it('is lost when a device refuses a packet', async () => {
    class Device {
      open = () => 1;
      start = () => 0;
      write = () => -constants.errno.EINVAL;
      awaitWritable = () => {};
      close = () => {};
    }
    const channel = AddonChannel.open('/dev/xen/xenbus', { Channel: Device });
    assert.ok(channel instanceof AddonChannel);
    const lost = new Promise<string>((resolve) => {
      channel.start({ onData: () => {}, onLost: resolve });
    });
    channel.write(makeMessage(2, 1, 0, Buffer.from('a')));
    assert.equal(await lost, 'writing to it failed: EINVAL');
  });
});
