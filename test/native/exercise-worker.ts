import { parentPort } from 'node:worker_threads';
import { openXenstore } from '../../src/xenstore/open.js';

const store = await openXenstore();
await store.watch('exercise', { onEvent: () => {}, onLost: () => {} });
if (process.argv[2] === 'use') {
  await store.write('exercise/w', 'x');
  await store.close();
} else if (process.argv[2] === 'leave') {
  // With an open client, from inside.
  process.exit();
} else {
  for (let i = 0; i < 200; i++) store.write(`exercise/w${i}`, 'x').catch(() => {});
  parentPort?.postMessage('now');
}
