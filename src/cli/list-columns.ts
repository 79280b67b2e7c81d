import { formatDevnum } from '../linux/devnum.js';
import { readAttribute } from '../linux/sysfs.js';
import { didYouMean } from '../util/did-you-mean.js';
import { quote } from '../util/one-line.js';
import type { VbdSummary } from '../vbd/vbd-summary.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import { UsageError } from './usage-error.js';
import { describeDiskseq, describeOpened } from './vbd-text.js';

/** What `list` can print of a vbd, by the names of `-o`. A cell that is empty is shown as `-`. */
const COLUMNS = {
  vbd: ({ vbd }: VbdSummary) => vbd.backend.replace(/^.*\bbackend\/(vbd\/)?/, ''),
  domain: ({ domainName }: VbdSummary) => domainName,
  vdev: ({ vdev }: VbdSummary) => vdev,
  mode: ({ mode }: VbdSummary) => mode,
  state: ({ state }: VbdSummary) => describeXenbusState(state),
  opened: (summary: VbdSummary) => describeOpened(summary),
  device: ({ device }: VbdSummary) => device,
  diskseq: (summary: VbdSummary) => describeDiskseq(summary),
  target: ({ target }: VbdSummary) => target,
  backend: ({ vbd }: VbdSummary) => vbd.backend,
  'backend-domain': ({ vbd, isRemote }: VbdSummary) =>
    isRemote ? String(vbd.backendDomid) : undefined,
  'hotplug-status': ({ hotplugStatus }: VbdSummary) => hotplugStatus,
  devnum: ({ devnum }: VbdSummary) => devnum && formatDevnum(devnum),
  size: (summary: VbdSummary) => readSize(summary),
  'block-size': (summary: VbdSummary) => readQueue(summary, 'queue/logical_block_size'),
  online: ({ online }: VbdSummary) => (online ? 'yes' : 'no'),
  error: ({ error }: VbdSummary) => error,
} as const;

export type ColumnName = keyof typeof COLUMNS;

export const USUAL_COLUMNS: readonly ColumnName[] = [
  ...(['vbd', 'domain', 'vdev', 'mode', 'state', 'opened', 'device', 'diskseq', 'target'] as const),
];

/** Of other backend domains as well: what they write, and nothing that only the kernel here would tell. */
export const REMOTE_COLUMNS: readonly ColumnName[] = [
  ...(['backend-domain', 'vbd', 'domain', 'vdev', 'mode', 'state', 'hotplug-status'] as const),
  ...(['opened', 'device', 'target'] as const),
];

/** Reads `vbd,size`. Throws `UsageError`. */
export function parseColumns(text: string): ColumnName[] {
  const names = Object.keys(COLUMNS) as ColumnName[];
  return text.split(',').map((word) => {
    const name = names.find((name) => name === word.toLowerCase());
    if (name !== undefined) return name;
    const nearest = didYouMean(word, names);
    throw new UsageError(
      `there is no column ${quote(word)}${nearest || `: ${names.join(', ')} are there`}`,
    );
  });
}

export function cellOf(summary: VbdSummary, column: ColumnName): string {
  return COLUMNS[column](summary) || '-';
}

/** Bytes. */
function readSize(summary: VbdSummary): string | undefined {
  const sectors = readQueue(summary, 'size');
  return sectors === undefined ? undefined : String(BigInt(sectors) * 512n);
}

/** What sysfs says of the device, while it is still the one that was published. */
function readQueue(summary: VbdSummary, attribute: string): string | undefined {
  const { devnum, diskseq, presentDiskseq, isRemote } = summary;
  if (isRemote || devnum === undefined || (diskseq !== undefined && diskseq !== presentDiskseq))
    return undefined;
  return readAttribute(`/sys/dev/block/${formatDevnum(devnum)}`, attribute);
}
