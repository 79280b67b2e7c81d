import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { XenstoreClient } from '../../../src/xenstore/client.js';
import type { TransactionStep, TransactOptions } from '../../../src/xenstore/xenstore.js';
import { ScriptedChannel } from '../../store/scripted-channel.js';

const STEPS: readonly TransactionStep[] = [
  { op: 'expect', path: 'a', value: '1' },
  { op: 'exists', path: 'b' },
  { op: 'write', path: 'c', value: 'x' },
  { op: 'remove', path: 'd' },
];

/** Starts a transaction and waits until it has sent its steps. */
async function started(options: TransactOptions = {}) {
  const channel = new ScriptedChannel();
  const store = new XenstoreClient(channel);
  const controller = new AbortController();
  const outcome = store.transact(STEPS, { ...options, signal: controller.signal, attempts: 1 });
  outcome.catch(() => {});
  await nextTurn();
  const [start = assert.fail()] = channel.requests;
  channel.answer(start, '7');
  await nextTurn();
  return { channel, store, controller, outcome, steps: channel.writes[1] ?? [] };
}

/** Returns the last write: the type, the transaction and the strings of each request. */
const lastOf = ({ writes }: ScriptedChannel) =>
  writes.at(-1)?.map(({ type, tx, texts }) => [type, tx, ...texts]);

describe('A whole transaction', () => {
  it('takes three trips: its start, all of its steps, its end', async () => {
    const { channel, outcome, steps } = await started();
    const [first, second, third, fourth] = steps;
    assert.deepEqual(lastOf(channel), [
      [2, 7, 'a'],
      [2, 7, 'b'],
      [11, 7, 'c'],
      [13, 7, 'd'],
    ]);
    channel.give(first ?? assert.fail(), '1');
    channel.give(second ?? assert.fail(), '');
    channel.answer(third ?? assert.fail(), 'OK');
    channel.refuse(fourth ?? assert.fail(), 'ENOENT');
    await nextTurn();
    assert.deepEqual(lastOf(channel), [[7, 7, 'T']]);
    channel.answer(channel.requests.at(-1) ?? assert.fail(), 'OK');
    assert.deepEqual(await outcome, { committed: true });
    assert.equal(channel.writes.length, 3);
  });

  it('is aborted, not committed in part, when one of its writes is refused', async () => {
    const { channel, outcome, steps } = await started();
    const [first, second, third, fourth] = steps;
    channel.give(first ?? assert.fail(), '1');
    channel.give(second ?? assert.fail(), '');
    channel.refuse(third ?? assert.fail(), 'EACCES');
    channel.answer(fourth ?? assert.fail(), 'OK');
    await nextTurn();
    assert.deepEqual(lastOf(channel), [[7, 7, 'F']]);
    await assert.rejects(outcome, { code: 'EACCES', path: 'c', syscall: 'XS_WRITE' });
  });

  it('names the first step that did not hold, in whatever order the replies come', async () => {
    const { channel, outcome, steps } = await started();
    const [first, second, third, fourth] = steps;
    channel.answer(fourth ?? assert.fail(), 'OK');
    channel.refuse(third ?? assert.fail(), 'ENOSPC');
    channel.refuse(second ?? assert.fail(), 'ENOENT');
    channel.give(first ?? assert.fail(), '2');
    await nextTurn();
    assert.deepEqual(lastOf(channel), [[7, 7, 'F']]);
    assert.deepEqual(await outcome, { committed: false, failed: 0, found: Buffer.from('2') });
  });

  it('is aborted and rejects when what is to confirm it throws, and the connection goes on', async () => {
    const reason = new Error('EACCES of sysfs');
    const confirm = (): boolean => {
      throw reason;
    };
    const { channel, store, outcome, steps } = await started({ confirm });
    const later = store.read('later');
    const values = ['1', '', 'OK', 'OK'];
    for (const [index, step] of steps.entries()) channel.give(step, values[index] ?? '');
    await nextTurn();
    await assert.rejects(outcome, reason);
    assert.deepEqual(lastOf(channel), [
      [7, 7, 'F'],
      [2, 0, 'later'],
    ]);
    channel.give(channel.requests.at(-1) ?? assert.fail(), 'x');
    assert.equal(String(await later), 'x');
  });

  it('lets later requests through only when its end is sent: it came first', async () => {
    const { channel, store, steps } = await started();
    store.read('later').catch(() => {});
    await nextTurn();
    assert.equal(channel.writes.length, 2);
    for (const step of steps) channel.refuse(step, 'ENOENT');
    await nextTurn();
    assert.deepEqual(lastOf(channel), [
      [7, 7, 'F'],
      [2, 0, 'later'],
    ]);
  });

  it('is aborted when its caller stops waiting, as soon as its number is known', async () => {
    const channel = new ScriptedChannel();
    const store = new XenstoreClient(channel);
    const controller = new AbortController();
    const outcome = store.transact(STEPS, { signal: controller.signal });
    await nextTurn();
    controller.abort(new Error('boom'));
    await assert.rejects(outcome, /boom/);
    channel.answer(channel.requests[0] ?? assert.fail(), '9');
    await nextTurn();
    assert.deepEqual(lastOf(channel), [[7, 9, 'F']]);
  });

  it('is aborted when its caller stops waiting for its steps', async () => {
    const { channel, controller, outcome, steps } = await started();
    controller.abort(new Error('boom'));
    await assert.rejects(outcome, /boom/);
    for (const step of steps) channel.give(step, '1');
    await nextTurn();
    assert.deepEqual(lastOf(channel), [[7, 7, 'F']]);
  });

  it('fails as a whole when it cannot be started, or committed', async () => {
    const channel = new ScriptedChannel();
    const store = new XenstoreClient(channel);
    const refused = store.transact(STEPS);
    await nextTurn();
    channel.refuse(channel.requests[0] ?? assert.fail(), 'ENOSPC');
    await assert.rejects(refused, {
      code: 'ENOSPC',
      syscall: 'XS_TRANSACTION_START',
      message: /^XenStore start of a transaction failed: .* its quota of transactions/,
    });
    const { channel: other, outcome, steps } = await started();
    const values = ['1', '', 'OK', 'OK'];
    for (const [index, step] of steps.entries()) other.give(step, values[index] ?? '');
    await nextTurn();
    other.refuse(other.requests.at(-1) ?? assert.fail(), 'EAGAIN');
    await assert.rejects(outcome, { code: 'EAGAIN' });
  });

  it('is rejected when the connection is lost in the middle', async () => {
    const { channel, outcome } = await started();
    channel.lose('xenstored closed it');
    await assert.rejects(outcome, { code: 'ECONNRESET' });
    assert.ok(channel.isClosed);
  });
});
