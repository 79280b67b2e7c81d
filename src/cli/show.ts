import { HotplugError } from '../hotplug/hotplug-error.js';
import { formatDevnum } from '../linux/devnum.js';
import { formatStack, readStack } from '../topology/stack.js';
import { toOneLine } from '../util/one-line.js';
import { readRecord } from '../vbd/record.js';
import { summarizeRemoteVbd } from '../vbd/remote-vbds.js';
import { summarizeVbd, type VbdSummary } from '../vbd/summarize-vbd.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { attacherRows, attacherToJson, findAttacher } from './attacher.js';
import { isRemote } from './backend-domain.js';
import { stackToJson } from './device-json.js';
import type { Context, Outcome } from './invocation.js';
import { detailRows, detailsToJson, readDetails } from './vbd-details.js';
import { alignColumns, describeDiskseq, describeOpened, toJson } from './vbd-text.js';

/** Runs `show`: prints all known facts about one vbd. */
export async function show({ store, vbd, settings, signal }: Context): Promise<Outcome> {
  if (isRemote(vbd)) return await showRemote(store, vbd, signal);
  const summary = await summarizeVbd(store, vbd, settings.sysfs, { signal });
  if (summary === undefined) {
    throw new HotplugError(
      `there is no backend ${vbd.backend} in XenStore, and blkback has nothing open for it`,
      { code: 'EBACKEND' },
    );
  }
  const record = readRecord(settings.runDirectory, vbd);
  const undo = record?.unbind
    ? `unbind ${record.path}`
    : record && `udev refresh of ${record.path}`;
  const { devnum } = summary;
  const present = devnum && isPresent(summary) ? await readStack(devnum) : undefined;
  const stack = present ? formatStack(present) : [];
  const details = await readDetails(store, summary, { signal });
  const attacher = await findAttacher(summary);
  const rows = [
    ...describeSummary(summary),
    ...detailRows(details),
    ...attacherRows(attacher, details.script),
    ...stack.map((line, index) => [index === 0 ? 'stack' : '', line]),
    ['opened by blkback', describeOpened(summary)],
    ['on remove', undo ?? '-'],
    ['error', toOneLine(summary.error ?? '-')],
  ];
  return {
    text: alignColumns(rows),
    json: {
      ...toJson(summary),
      ...detailsToJson(details),
      ...attacherToJson(attacher),
      stack: present ? stackToJson(present) : null,
      'on-remove': undo ?? null,
    },
  };
}

/** Prints what another backend domain has written to XenStore about one of its vbds. */
async function showRemote(store: Xenstore, vbd: VbdPath, signal: AbortSignal): Promise<Outcome> {
  const summary = await summarizeRemoteVbd(store, vbd, { signal });
  if (summary === undefined) {
    throw new HotplugError(`there is no backend ${vbd.backend} in XenStore`, { code: 'EBACKEND' });
  }
  const details = await readDetails(store, summary, { signal });
  const rows = [
    ...describeSummary(summary),
    ...detailRows(details),
    ['opened by blkback', describeOpened(summary)],
    ['error', toOneLine(summary.error ?? '-')],
  ];
  return {
    text: alignColumns(rows),
    json: {
      ...toJson(summary),
      ...detailsToJson(details),
      ...attacherToJson({ by: undefined }),
      stack: null,
      'on-remove': null,
    },
  };
}

function describeSummary(summary: VbdSummary): string[][] {
  const { vbd, device, devnum } = summary;
  return [
    ['backend', summary.nodesGone ? `${vbd.backend} (gone from XenStore)` : vbd.backend],
    ['domain', `${vbd.domid} (${summary.domainName ?? 'no name'})`],
    ['vdev', summary.vdev ?? '-'],
    ['mode', summary.mode ?? '-'],
    ['target', summary.target ?? '-'],
    ['state', describeXenbusState(summary.state)],
    ['online', summary.online ? 'yes' : 'no'],
    ['hotplug status', summary.hotplugStatus ?? '-'],
    ['device', devnum === undefined ? '-' : `${device ?? '-'} (${formatDevnum(devnum)})`],
    ['diskseq', describeDiskseq(summary)],
  ];
}

/** Tells whether the device number still belongs to the device that was published. */
function isPresent({ diskseq, presentDiskseq }: VbdSummary): boolean {
  return presentDiskseq !== undefined && (diskseq === undefined || diskseq === presentDiskseq);
}
