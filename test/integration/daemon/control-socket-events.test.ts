import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';
import { within } from '../../bed/deadline.js';
import { ControlSocketFixture, needsRoot } from './control-socket-fixture.js';

describe('the control socket', function () {
  this.timeout(30_000);
  let fixture: ControlSocketFixture;

  before(function () {
    needsRoot(this);
  });
  beforeEach(async () => {
    fixture = await ControlSocketFixture.start();
  });
  afterEach(() => fixture?.[Symbol.asyncDispose]());

  describe('to those who read events', () => {
    const vbd = parseVbdPath('backend/vbd/7/51712');
    assert.ok(vbd);
    const publish = (detail: string): void =>
      fixture.feed.publish({ time: new Date(), vbd, action: 'add', step: 'opened', detail });

    /**
     * Connects a reader. Resolves when the daemon has accepted it; `said` returns what the daemon
     * has sent since.
     */
    async function follow(): Promise<{ client: Socket; said: () => string }> {
      const client = connect(fixture.path);
      client.on('error', () => {});
      client.write('xen-blkback 1 events\n');
      let said = '';
      client.setEncoding('utf8').on('data', (data: string) => {
        said += data;
      });
      await once(client, 'data');
      assert.equal(said, 'accepted\n');
      said = '';
      return { client, said: () => said };
    }

    it('tells each of them everything, a line each, until it ends', async () => {
      const readers = [await follow(), await follow()];
      publish('one\ntwo');
      publish('three');
      const ends = readers.map(({ client }) => once(client, 'end'));
      fixture.feed.end();
      await within(5000, 'the end', () => Promise.all(ends));
      for (const { said } of readers) {
        const [first, second, last, ...more] = said().split('\n');
        assert.equal(JSON.parse((first ?? '').replace(/^event /, '')).detail, 'one\ntwo');
        assert.match(second ?? '', /^event \{.*"detail":"three"/);
        assert.deepEqual([last, ...more], ['ended', '']);
      }
    });

    /** Returns the events that the daemon sends after a request, up to the one with this detail. */
    async function listen(request: string, last: string): Promise<Record<string, unknown>[]> {
      const client = connect(fixture.path);
      client.on('error', () => {});
      client.write(request);
      let said = '';
      client.setEncoding('utf8').on('data', (data: string) => {
        said += data;
      });
      await within(5000, last, async () => {
        while (!said.includes(`"${last}"`)) await once(client, 'data');
      });
      client.destroy();
      return said
        .split('\n')
        .filter((line) => line.startsWith('event '))
        .map((line) => JSON.parse(line.slice('event '.length)));
    }

    it('numbers them, names the guest, and tells first how everything is where that is asked for', async () => {
      publish('before');
      const event = { time: new Date(), vbd, action: 'snapshot', step: 'attached', detail: 'it' };
      fixture.snapshot = [{ event: { ...event, action: 'snapshot' }, domain: 'work' }];
      const heard = listen('xen-blkback 1 events snapshot\n', 'last');
      await within(5000, 'the reader', async () => {
        while (fixture.feed.readers === 0) await new Promise((resolve) => setImmediate(resolve));
      });
      publish('first');
      publish('last');
      const told = (await heard).map(({ run, seq, action, detail, domain }) => [
        run === fixture.feed.run,
        ...[seq, action, detail, domain],
      ]);
      assert.deepEqual(told, [
        [true, 1, 'snapshot', 'it', 'work'],
        [true, 1, 'snapshot', '1 vbds', null],
        [true, 2, 'add', 'first', 'work'],
        [true, 3, 'add', 'last', 'work'],
      ]);
    });

    it('goes on behind an event that it remembers, and begins anew behind others', async () => {
      fixture.snapshot = [];
      for (const detail of ['one', 'two', 'three']) publish(detail);
      const since = (run: string, seq: number, last: string) =>
        listen(`xen-blkback 1 events after ${run} ${seq}\n`, last);
      const missed = await since(fixture.feed.run, 1, 'three');
      assert.deepEqual(
        missed.map(({ seq, detail }) => [seq, detail]),
        [
          [2, 'two'],
          [3, 'three'],
        ],
      );
      for (const [run, seq] of [
        ['another', 1],
        [fixture.feed.run, 4],
      ] as const) {
        const [begin] = await since(run, seq, '0 vbds');
        assert.equal(begin?.step, 'complete');
      }
      // The daemon remembers fewer events than these.
      for (let more = 0; more < 1100; more++) publish('more');
      assert.equal((await since(fixture.feed.run, 1, '0 vbds')).length, 1);
    });

    it('cuts off the one who does not read, and nobody else', async () => {
      const [slow, quick] = [await follow(), await follow()];
      slow.client.pause();
      const before = process.memoryUsage().rss;
      let published = 0;
      const cut = within(20_000, 'the slow one to be cut off', async () => {
        const closed = once(slow.client, 'close');
        for (let served = 2; served > 1; published++) {
          publish('x'.repeat(1000));
          served = await new Promise((resolve) =>
            setImmediate(() => resolve(fixture.feed.readers)),
          );
        }
        slow.client.resume();
        await closed;
      });
      await cut;
      assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
      publish('last');
      await within(5000, 'the quick one to have everything', async () => {
        while (!quick.said().includes('"last"')) await once(quick.client, 'data');
      });
      assert.equal(quick.said().split('\n').length - 1, published + 1);
      quick.client.destroy();
    });

    it('refuses when there are too many of them', async () => {
      const readers = [];
      for (let i = 0; i < 32; i++) readers.push(await follow());
      assert.match(await fixture.exchange('xen-blkback 1 events\n'), /^failed EBUSY too many/);
      readers.pop()?.client.destroy();
      await within(5000, 'room', async () => {
        while (fixture.feed.readers === 32) await new Promise((resolve) => setImmediate(resolve));
      });
      (await follow()).client.destroy();
      for (const { client } of readers) client.destroy();
    });
  });
});
