import { HotplugError } from '../hotplug/hotplug-error.js';
import { formatDevnum } from '../linux/devnum.js';
import { formatStack, readStack } from '../topology/stack.js';
import { readRecord } from '../vbd/record.js';
import { surveyVbd, type VbdSummary } from '../vbd/vbd-summary.js';
import { stackToJson } from './device-json.js';
import type { Context, Outcome } from './run.js';
import {
  alignColumns,
  describeDiskseq,
  describeOpened,
  describeState,
  toJson,
} from './vbd-text.js';

/** `show`: everything that can be told of one vbd. */
export async function show({ store, vbd, settings, signal }: Context): Promise<Outcome> {
  const summary = await surveyVbd(store, vbd, settings.sysfs, { signal });
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
  const { devnum, device } = summary;
  const present = devnum && isPresent(summary) ? await readStack(devnum) : undefined;
  const stack = present ? formatStack(present) : [];
  const rows = [
    ['backend', summary.nodesGone ? `${vbd.backend} (gone from XenStore)` : vbd.backend],
    ['domain', `${vbd.domid} (${summary.domainName ?? 'no name'})`],
    ['vdev', summary.vdev ?? '-'],
    ['mode', summary.mode ?? '-'],
    ['target', summary.target ?? '-'],
    ['state', describeState(summary.state)],
    ['online', summary.online ? 'yes' : 'no'],
    ['device', devnum === undefined ? '-' : `${device ?? '-'} (${formatDevnum(devnum)})`],
    ['diskseq', describeDiskseq(summary)],
    ...stack.map((line, index) => [index === 0 ? 'stack' : '', line]),
    ['opened by blkback', describeOpened(summary)],
    ['on remove', undo ?? '-'],
    ['error', summary.error ?? '-'],
  ];
  return {
    text: alignColumns(rows),
    json: {
      ...toJson(summary),
      stack: present ? stackToJson(present) : null,
      'on-remove': undo ?? null,
    },
  };
}

/** Whether the number still belongs to the device that was published. */
function isPresent({ diskseq, presentDiskseq }: VbdSummary): boolean {
  return presentDiskseq !== undefined && (diskseq === undefined || diskseq === presentDiskseq);
}
