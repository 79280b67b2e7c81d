import type { VbdPath } from '../vbd/vbd-path.js';
import { surveyVbds, type VbdSummary } from '../vbd/vbd-summary.js';
import type { Outcome, StoreContext } from './run.js';
import {
  alignColumns,
  describeDiskseq,
  describeOpened,
  describeState,
  toJson,
} from './vbd-text.js';

const HEAD = ['VBD', 'DOMAIN', 'VDEV', 'MODE', 'STATE', 'OPENED', 'DEVICE', 'DISKSEQ', 'TARGET'];

/** `list`: all vbds of this domain's backends, whoever attached them. */
export async function list({ store, settings, signal }: StoreContext): Promise<Outcome> {
  const summaries = await surveyVbds(store, settings.sysfs, { signal });
  const errors = summaries.flatMap(({ vbd, error }) =>
    error === undefined ? [] : [`${nameOf(vbd)}: ${error}`],
  );
  const table = alignColumns([HEAD, ...summaries.map(toRow)]);
  return {
    text: [table, ...errors.map((error) => alignColumns([[error]]))].join('\n'),
    json: { vbds: summaries.map(toJson) },
  };
}

/** `7/51712`; of a disk that QEMU or tapdisk serves with its kind, `qdisk/7/51712`. */
function nameOf({ backend }: VbdPath): string {
  return backend.replace(/^backend\/(vbd\/)?/, '');
}

function toRow(summary: VbdSummary): string[] {
  const { vbd, domainName, vdev, mode, device, target } = summary;
  return [
    nameOf(vbd),
    domainName ?? '-',
    vdev ?? '-',
    mode ?? '-',
    describeState(summary.state),
    describeOpened(summary),
    device ?? '-',
    describeDiskseq(summary),
    target ?? '-',
  ];
}
