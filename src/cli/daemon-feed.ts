import { EventFeed } from '../daemon/event-feed.js';
import { GuestNames } from '../daemon/guest-names.js';
import type { Service } from '../daemon/service.js';
import { snapshotEvent } from '../daemon/vbd-snapshot.js';
import { surveyVbds } from '../vbd/vbd-summary.js';

/** How long readers of events wait for how the vbds are; milliseconds. */
const SNAPSHOT_MS = 10_000;

/** What readers of events are told, by what the service can ask. */
export function followService(service: Pick<Service, 'ask'>, sysfs: string): EventFeed {
  const names = new GuestNames((domid, signal) =>
    service.ask(async (store) => {
      const [name] = await store.readMany([`/local/domain/${domid}/name`], { signal });
      return name?.toString('utf8');
    }),
  );
  const snapshot = async () => {
    const signal = AbortSignal.timeout(SNAPSHOT_MS);
    const vbds = await service.ask((store) => surveyVbds(store, sysfs, { signal }));
    const time = new Date();
    return vbds.map((vbd) => ({ event: snapshotEvent(vbd, time), domain: vbd.domainName }));
  };
  return new EventFeed({ names, snapshot });
}
