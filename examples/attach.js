// Attaches or detaches a vbd: node attach.js attach|detach BACKEND-PATH
import { attach, detach, isBlkbackError, openXenstore } from 'xen-blkback-hotplug';

const [action, vbd = ''] = process.argv.slice(2);
const store = await openXenstore();
try {
  if (action === 'detach') {
    await detach(store, vbd);
  } else {
    const onStep = (step, detail) => console.log(step, detail);
    const { publication, openedBy } = await attach(store, vbd, { timeoutMs: 10_000, onStep });
    const device = publication?.['physical-device-path'];
    console.log(`blkback has ${device} open, as ${openedBy} tells`);
  }
} catch (error) {
  if (!isBlkbackError(error)) throw error;
  console.error(error.code, error.message);
  process.exitCode = 1;
} finally {
  await store.close();
}
