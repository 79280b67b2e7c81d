import { parentPort, workerData } from 'node:worker_threads';
import { openXenstore } from '../../src/xenstore/open.js';

// The worker uses a client as `workerData` says, and leaves it open until the test terminates the
// worker.
const work = workerData as { readonly pending: number };
const store = await openXenstore({ requestTimeoutMs: 60_000 });
await store.write('/worker', 'x');
let events = 0;
await store.watch('/worker', { onEvent: () => events++, onLost: () => {} });
const value = (await store.read('/worker')).toString();
parentPort?.postMessage({ ready: true, value });
parentPort?.on('message', () => {
  const requests = Array.from({ length: work.pending }, () => store.write('/worker', 'y'));
  parentPort?.postMessage({ submitted: requests.length });
});
