import { Worker } from 'node:worker_threads';
import koffi from 'koffi';
import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';

// Lives of a connection, run by sanitizer.test.ts in a process of its own.

/** The process of the xenstored that is private to this exercise. */
const xenstored = Number(process.argv[2]);
const listener = { onEvent: () => {}, onLost: () => {} };

async function useEverything(store: Xenstore): Promise<void> {
  await store.write('exercise/a', 'x'.repeat(3000));
  await store.read('exercise/a');
  await store.readMany(['exercise/a', 'exercise/none']);
  await store.directory('exercise');
  await store.setPermissions('exercise', await store.getPermissions('exercise'));
  await store.read('exercise/none').catch(() => {});
  const watch = await store.watch('exercise', listener);
  await store.transaction(async (transaction) => {
    await transaction.write('exercise/b', await transaction.read('exercise/a'));
  });
  await store.transact([
    { op: 'exists', path: 'exercise' },
    { op: 'expect', path: 'exercise/c', value: undefined },
    { op: 'write', path: 'exercise/c', value: '1' },
  ]);
  await store.transact([{ op: 'expect', path: 'exercise/c', value: '2' }]);
  await watch.close();
  await store.remove('exercise');
}

const LIVES: readonly (() => Promise<void>)[] = [
  async () => {
    await using store = await openXenstore();
    await useEverything(store);
  },
  async () => {
    // Closed with requests under way and a watch still there.
    const store = await openXenstore();
    await store.watch('exercise', listener);
    const requests = Array.from({ length: 50 }, (_, i) => store.write(`exercise/${i}`, 'x'));
    const settled = Promise.allSettled(requests);
    await store.close();
    await settled;
  },
  async () => {
    // Given up before it is open.
    const controller = new AbortController();
    const opening = openXenstore({ signal: controller.signal });
    controller.abort();
    await opening.then((store) => store.close()).catch(() => {});
  },
  async () => {
    // Nothing to connect to.
    const path = process.env.XENSTORED_PATH;
    process.env.XENSTORED_PATH = '/nonexistent/socket';
    await openXenstore()
      .then((store) => store.close())
      .catch(() => {});
    process.env.XENSTORED_PATH = path;
  },
  async () => {
    const stores = await Promise.all(Array.from({ length: 8 }, () => openXenstore()));
    await Promise.all(stores.map(useOwn));
    await Promise.all(stores.map((store) => store.close()));
  },
  () => runWorker('use'),
  // Ended from outside with requests under way.
  () => runWorker('terminate'),
  async () => {
    const store = await openXenstore();
    await store.close();
    await store.close();
    await store.read('exercise').catch(() => {});
  },
  async () => {
    // Closed while xenstored hangs: in the middle of a request, and while connecting.
    const store = await openXenstore();
    await store.watch('exercise', listener);
    process.kill(xenstored, 'SIGSTOP');
    const options = { requestTimeoutMs: 50 };
    const read = store.read('exercise').catch(() => {});
    for (let i = 0; i < 6; i++) {
      const other = await openXenstore(options).catch(() => undefined);
      await other?.read('exercise').catch(() => {});
      await other?.close();
    }
    await store.close();
    await read;
    process.kill(xenstored, 'SIGCONT');
    // Taken only after those that were given up.
    const last = await openXenstore();
    await last.read('/');
    await last.close();
  },
  () => runWorker('leave'),
  async () => {
    // Lost, idle and busy. Nothing can follow this one.
    const stores = await Promise.all(Array.from({ length: 8 }, () => openXenstore()));
    const lost = new Promise<void>((resolve) => {
      void stores[0]?.watch('exercise', { onEvent: () => {}, onLost: () => resolve() });
    });
    const busy = stores.slice(1).map(async (store, index) => {
      if (index % 2 === 0) await store.watch('exercise', listener);
      for (;;) await store.write('exercise', 'x');
    });
    const ends = Promise.allSettled(busy);
    await stores[0]?.read('/');
    process.kill(xenstored, 'SIGKILL');
    await Promise.all([lost, ends]);
    await Promise.all(stores.map((store) => store.close()));
  },
];

async function useOwn(store: Xenstore, index: number): Promise<void> {
  await store.write(`exercise-${index}/x`, 'x');
  await store.remove(`exercise-${index}`);
}

async function runWorker(how: 'use' | 'terminate' | 'leave'): Promise<void> {
  const worker = new Worker(new URL('./exercise-worker.js', import.meta.url), { argv: [how] });
  await new Promise<void>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => resolve());
    worker.on('message', () => void worker.terminate());
  });
}

for (const live of LIVES) await live();
// Node ends without the check that the sanitizer would make at a program's end.
koffi.load(null).func('int __lsan_do_recoverable_leak_check()')();
console.log(`exercised ${LIVES.length} lives`);
