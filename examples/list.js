// Prints one line for each vbd of this domain: node list.js
import { formatDevnum, list, openXenstore } from 'xen-blkback-hotplug';

const store = await openXenstore();
try {
  for (const { vbd, domainName, target, devnum, opened } of await list(store)) {
    const device = devnum === undefined ? 'no device' : formatDevnum(devnum);
    const state = opened.open ? 'open in blkback' : 'not open';
    console.log(
      `${vbd.backend} of ${domainName ?? 'a guest without a name'}: ${target}, ${device}, ${state}`,
    );
  }
} finally {
  await store.close();
}
