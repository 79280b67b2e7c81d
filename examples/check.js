// Tells whether a file or device could become a guest's disk by now: node check.js TARGET
import { check, isBlkbackError, openXenstore } from 'xen-blkback-hotplug';

const [target = ''] = process.argv.slice(2);
const store = await openXenstore();
try {
  const { free, conflicts } = await check(store, target, { mode: 'w' });
  if (free) console.log(`${target} can be attached`);
  for (const { reason } of conflicts) console.log(reason);
  process.exitCode = free ? 0 : 3;
} catch (error) {
  if (!isBlkbackError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await store.close();
}
