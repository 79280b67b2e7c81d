import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { errorCode, errorMessage } from '../../src/errors.js';
import { pause } from '../../src/util/retry.js';
import { makeMessage, type RequestMessage, strings } from '../store/server-messages.js';
import { type Behaviour, startFalseXenstored } from './false-xenstored.js';
import { assertReturnedTo, resources } from './resources.js';
import { EventLog, rejectsWith } from './support.js';

const READ = 2;
const WATCH_EVENT = 15;

/** Returns the answer of an honest xenstored to a read. */
const answer = ({ type, id, texts }: RequestMessage): Buffer =>
  makeMessage(type, id, 0, Buffer.from(`of ${texts[0]}`));

const header = (...numbers: readonly number[]): Buffer =>
  Buffer.from(Uint32Array.from(numbers).buffer);

const TIMEOUT_MS = 150;

/**
 * Faults that end the connection. Each sentence follows "the connection to xenstored was lost: ".
 */
const FAULTS: readonly {
  readonly what: string;
  readonly says: (socket: Socket, request: RequestMessage) => void;
  readonly sentence: string | RegExp;
}[] = [
  {
    what: 'answers what nobody asked',
    says: (socket) => socket.write(makeMessage(READ, 0x7777777, 0, Buffer.from('x'))),
    sentence: 'xenstored sent a reply that nobody waits for (type 2, request 125269879)',
  },
  {
    what: 'answers twice',
    says: (socket, request) => socket.write(Buffer.concat([answer(request), answer(request)])),
    sentence: /^xenstored sent a reply that nobody waits for \(type 2, request \d+\)$/,
  },
  {
    what: 'answers another question',
    says: (socket, { id }) => socket.write(makeMessage(11, id, 0, strings('OK'))),
    sentence: 'xenstored answered a request of type 2 with type 11',
  },
  {
    what: 'sends garbage',
    says: (socket) => socket.write(Buffer.alloc(100, 0xa5)),
    sentence: 'xenstored sent a message of the unknown type 2779096485',
  },
  {
    what: 'sends an overlong message',
    says: (socket, { id }) => socket.write(header(READ, id, 0, 5000)),
    sentence: 'xenstored sent a message of 5000 bytes, where at most 4096 are allowed',
  },
  {
    what: 'sends an event without a token',
    says: (socket) => socket.write(makeMessage(WATCH_EVENT, 0, 0, strings('a'))),
    sentence: 'xenstored sent a watch event without a token',
  },
  {
    what: 'sends half a message and then nothing',
    says: (socket, request) => socket.write(answer(request).subarray(0, 18)),
    sentence: `xenstored sent half a message, and did not end it within ${TIMEOUT_MS} ms`,
  },
  {
    what: 'sends half a header and then nothing',
    says: (socket, request) => socket.write(answer(request).subarray(0, 3)),
    sentence: `xenstored sent half a message, and did not end it within ${TIMEOUT_MS} ms`,
  },
  {
    what: 'closes the connection in the middle of a message',
    says: (socket, request) => socket.end(answer(request).subarray(0, 18)),
    sentence: 'xenstored closed it in the middle of a message',
  },
  {
    what: 'closes the connection',
    says: (socket) => socket.end(),
    sentence: 'xenstored closed it',
  },
];

describe('A client of a xenstored that misbehaves', () => {
  for (const { what, says, sentence } of FAULTS) {
    it(`is lost, with everybody told why, when it ${what}`, async () => {
      const held = resources();
      {
        let watch: RequestMessage | undefined;
        await using xenstored = await startFalseXenstored((socket, requests) => {
          const [first = assert.fail()] = requests;
          if (watch) says(socket, first);
          else {
            watch = first;
            socket.write(makeMessage(first.type, first.id, 0, strings('OK')));
          }
        });
        const store = await xenstored.connect({ requestTimeoutMs: TIMEOUT_MS });
        const log = new EventLog();
        await store.watch('w', log);
        const waiters = [...Array(20).keys()].map((n) => store.read(`n${n}`));
        const outcomes = await Promise.allSettled(waiters);
        const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
        // Only the first read may have been answered before the fault.
        assert.ok(refused.length >= waiters.length - 1, `${refused.length} were rejected`);
        const prefix = / failed: the connection to xenstored was lost: /;
        for (const { reason } of refused) {
          assert.equal(errorCode(reason), 'ECONNRESET', errorMessage(reason));
          const [, said = ''] = errorMessage(reason).split(prefix);
          if (typeof sentence === 'string') assert.equal(said, sentence);
          else assert.match(said, sentence);
        }
        assert.equal(log.losses.length, 1);
        await rejectsWith('ECONNRESET', store.read('a'));
        // The fault already closes the descriptor, without a call of close().
        while (xenstored.connections.size > 0) await pause(1);
        await store.close();
      }
      await assertReturnedTo(held);
    });
  }

  it('takes answers out of order, late, and in pieces', async () => {
    const late: Behaviour = (socket, requests) => {
      void (async () => {
        for (const request of requests.toReversed()) {
          await pause(5);
          const bytes = answer(request);
          socket.write(bytes.subarray(0, 5));
          await pause(5);
          socket.write(bytes.subarray(5));
        }
      })();
    };
    await using xenstored = await startFalseXenstored(late);
    await using store = await xenstored.connect();
    const values = await Promise.all(['a', 'b', 'c', 'd'].map((path) => store.read(path)));
    assert.deepEqual(values.map(String), ['of a', 'of b', 'of c', 'of d']);
  });

  it('takes an answer that comes after its deadline for what it is', async () => {
    const behave: Behaviour = (socket, requests) => {
      for (const request of requests) {
        const delay = request.texts[0] === 'slow' ? 2 * TIMEOUT_MS : 0;
        void pause(delay).then(() => socket.write(answer(request)));
      }
    };
    await using xenstored = await startFalseXenstored(behave);
    await using store = await xenstored.connect({ requestTimeoutMs: TIMEOUT_MS });
    await rejectsWith('ETIMEDOUT', store.read('slow'));
    await pause(2 * TIMEOUT_MS);
    assert.equal(String(await store.read('quick')), 'of quick');
  });

  it('takes an answer that came while this process did not run', async () => {
    const stop = (ms: number): unknown =>
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const behave: Behaviour = (socket, requests) => {
      for (const request of requests) {
        socket.write(answer(request).subarray(0, 18));
        stop(TIMEOUT_MS / 3);
        socket.write(answer(request).subarray(18));
        stop(TIMEOUT_MS);
      }
    };
    await using xenstored = await startFalseXenstored(behave);
    await using store = await xenstored.connect({ requestTimeoutMs: TIMEOUT_MS });
    assert.equal(String(await store.read('a')), 'of a');
  });

  it('rejects everything in time when it says nothing at all', async () => {
    await using xenstored = await startFalseXenstored(() => {});
    await using store = await xenstored.connect({ requestTimeoutMs: TIMEOUT_MS });
    const start = performance.now();
    const waiters = [...Array(25).keys()].map((n) => store.read(`n${n}`));
    for (const waiter of waiters) await rejectsWith('ETIMEDOUT', waiter);
    const took = performance.now() - start;
    assert.ok(took >= TIMEOUT_MS - 2 && took < 10 * TIMEOUT_MS, `took ${took} ms`);
  });
});
