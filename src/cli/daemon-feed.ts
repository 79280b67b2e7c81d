import { EventFeed } from '../daemon/event-feed.js';
import { GuestNames } from '../daemon/guest-names.js';
import type { Service } from '../daemon/service.js';
import { snapshotEvent } from '../daemon/vbd-snapshot.js';
import { summarizeVbds } from '../vbd/summarize-vbd.js';

/** How long a reader of events waits for the snapshot of all vbds; milliseconds. */
const SNAPSHOT_MS = 10_000;

/** Creates the event feed of a service. The feed reads names and snapshots through the service. */
export function followService(service: Pick<Service, 'ask'>, sysfs: string): EventFeed {
  const names = new GuestNames((domid, signal) =>
    service.ask(async (store) => {
      const [name] = await store.readMany([`/local/domain/${domid}/name`], { signal });
      return name?.toString('utf8');
    }),
  );
  const snapshot = async () => {
    const signal = AbortSignal.timeout(SNAPSHOT_MS);
    const vbds = await service.ask((store) => summarizeVbds(store, sysfs, { signal }));
    const time = new Date();
    return vbds.map((vbd) => ({ event: snapshotEvent(vbd, time), domain: vbd.domainName }));
  };
  return new EventFeed({ names, snapshot });
}
