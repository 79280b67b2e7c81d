import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { XenstoreClient } from '../../../src/xenstore/client.js';
import { ScriptedChannel } from '../../store/scripted-channel.js';
import { makeMessage, type RequestMessage, strings } from '../../store/server-messages.js';

const WINDOW = 10;

function connect(limits: { maxPacketSize?: number; window?: number } = {}) {
  const channel = new ScriptedChannel(limits);
  return { channel, store: new XenstoreClient(channel, { requestTimeoutMs: 200 }) };
}

const pathsOf = (requests: readonly RequestMessage[]): (string | undefined)[] =>
  requests.map(({ texts }) => texts[0]);

/** Returns the only request of the last write. */
function only({ writes }: ScriptedChannel): RequestMessage {
  const [request = assert.fail('nothing was written'), ...others] = writes.at(-1) ?? [];
  assert.deepEqual(others, []);
  return request;
}

describe('A XenStore client', () => {
  it('sends the requests of one turn together, in their order', async () => {
    const { channel, store } = connect();
    const reads = ['a', 'b', 'c'].map((path) => store.read(path));
    await nextTurn();
    assert.deepEqual(channel.writes.map(pathsOf), [['a', 'b', 'c']]);
    for (const request of channel.requests) channel.give(request, `of ${request.texts[0]}`);
    assert.deepEqual((await Promise.all(reads)).map(String), ['of a', 'of b', 'of c']);
  });

  it('has at most ten under way, and each reply lets one more out', async () => {
    const { channel, store } = connect();
    const paths = Array.from({ length: 13 }, (_, n) => `n${n}`);
    const values = store.readMany(paths);
    await nextTurn();
    assert.deepEqual(pathsOf(channel.requests), paths.slice(0, WINDOW));
    for (let n = 0; n < paths.length; n++) {
      channel.give(channel.requests[n] ?? assert.fail(), `${n}`);
      await nextTurn();
      assert.equal(channel.requests.length, Math.min(WINDOW + n + 1, paths.length));
    }
    assert.deepEqual((await values).map(String), [...paths.keys()].map(String));
  });

  it('asks one thing after another where the channel can have only one under way', async () => {
    const { channel, store } = connect({ window: 1 });
    const values = store.readMany(['a', 'b']);
    const outcome = store.transact([
      { op: 'exists', path: 'c' },
      { op: 'remove', path: 'd' },
    ]);
    const asked: string[] = [];
    for (let n = 1; n <= 6; n++) {
      await nextTurn();
      assert.equal(channel.requests.length, n);
      const request = only(channel);
      asked.push(`${request.type} ${request.texts[0]}`);
      channel.answer(request, '1');
    }
    assert.deepEqual(asked, ['2 a', '2 b', '6 ', '2 c', '13 d', '7 T']);
    assert.equal((await values).length, 2);
    assert.deepEqual(await outcome, { committed: true });
  });

  it('takes replies in any order, and gives no number twice at a time', async () => {
    const { channel, store } = connect();
    const reads = Array.from({ length: WINDOW }, (_, n) => store.read(`n${n}`));
    await nextTurn();
    const numbers = channel.requests.map(({ id }) => id);
    assert.equal(new Set(numbers).size, WINDOW);
    for (const request of channel.requests.toReversed()) {
      channel.give(request, request.texts[0] ?? '');
    }
    assert.deepEqual(
      (await Promise.all(reads)).map(String),
      [...reads.keys()].map((n) => `n${n}`),
    );
    const more = store.read('more');
    await nextTurn();
    assert.ok(!numbers.includes(only(channel).id));
    channel.give(only(channel), '');
    await more;
  });

  it('keeps values apart from the memory that they came in', async () => {
    const { channel, store } = connect();
    const read = store.read('a');
    await nextTurn();
    const { type, id } = only(channel);
    const message = makeMessage(type, id, 0, Buffer.from('value'));
    channel.send(message);
    message.fill(0);
    assert.equal(String(await read), 'value');
  });

  it('never sends what was given up while it had to wait, and keeps the place of what was sent', async () => {
    const { channel, store } = connect();
    const controller = new AbortController();
    const { signal } = controller;
    const sent = Array.from({ length: WINDOW }, (_, n) => store.read(`n${n}`, { signal }));
    const waiting = [store.write('w', '1', { signal }), store.readMany(['x', 'y'], { signal })];
    const last = store.read('last');
    await nextTurn();
    controller.abort(new Error('boom'));
    for (const promise of [...sent, ...waiting]) await assert.rejects(promise, /boom/);
    await nextTurn();
    assert.equal(channel.requests.length, WINDOW);
    channel.give(channel.requests[3] ?? assert.fail(), 'late');
    await nextTurn();
    assert.deepEqual(pathsOf([only(channel)]), ['last']);
    channel.give(only(channel), 'here');
    assert.equal(String(await last), 'here');
  });

  it('gives a watch back that is abandoned under way, before whatever comes later', async () => {
    const { channel, store } = connect();
    const controller = new AbortController();
    const listener = { onEvent: () => {}, onLost: () => {} };
    const watch = store.watch('a', listener, { signal: controller.signal });
    await nextTurn();
    controller.abort(new Error('boom'));
    await assert.rejects(watch, /boom/);
    store.read('b').catch(() => {});
    await nextTurn();
    assert.deepEqual(
      channel.requests.map(({ type, texts }) => [type, ...texts]),
      [
        [4, 'a', '1'],
        [5, 'a', '1'],
        [2, 'b'],
      ],
    );
  });

  it('refuses what the channel cannot carry, and nothing else', async () => {
    const { channel, store } = connect({ maxPacketSize: 100 });
    const long = store.write('a', 'x'.repeat(83));
    await assert.rejects(long, { code: 'E2BIG' });
    const short = store.write('a', 'x'.repeat(82));
    await nextTurn();
    channel.answer(only(channel), 'OK');
    await short;
  });

  it('lists a directory again from its start when it changed between two parts', async () => {
    const { channel, store } = connect();
    const names = store.directory('d');
    await nextTurn();
    const answer = async (...texts: string[]) => {
      channel.answer(only(channel), ...texts);
      await nextTurn();
      return only(channel).texts;
    };
    channel.refuse(only(channel), 'E2BIG');
    await nextTurn();
    assert.deepEqual(only(channel).texts, ['d', '0']);
    assert.deepEqual(await answer('1', 'a', 'bb'), ['d', '5']);
    assert.deepEqual(await answer('2', 'cc', 'd'), ['d', '0']);
    assert.deepEqual(await answer('2', 'aa', 'bb'), ['d', '6']);
    await answer('2', 'cc', '');
    assert.deepEqual(await names, ['aa', 'bb', 'cc']);
  });

  it('answers every request of a turn that is closed, and sends none of it', async () => {
    const { channel, store } = connect();
    const read = store.read('a');
    const closing = store.close();
    await assert.rejects(read, { code: 'ECLOSED' });
    await closing;
    await nextTurn();
    assert.deepEqual(channel.writes, []);
    assert.ok(channel.isClosed);
  });

  it('may be closed by a listener in the middle of what came together', async () => {
    const { channel, store } = connect();
    const events: string[] = [];
    const onEvent = (path: string) => {
      events.push(path);
      void store.close();
    };
    const watch = store.watch('a', { onEvent, onLost: () => {} });
    await nextTurn();
    channel.answer(only(channel), 'OK');
    await watch;
    const event = makeMessage(15, 0, 0, strings('a', '1'));
    channel.send(Buffer.concat([event, event]));
    assert.deepEqual(events, ['a']);
  });
});
