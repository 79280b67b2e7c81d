import { formatDevnum } from '../linux/devnum.js';
import { readAttribute } from '../linux/sysfs.js';
import { didYouMean } from '../util/did-you-mean.js';
import { quote, toOneLine } from '../util/one-line.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import { UsageError } from './usage-error.js';
import { describeDiskseq, describeOpened } from './vbd-text.js';

/** The columns of `list`, by their names for `-o`. An empty cell is shown as `-`. */
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
  error: ({ error }: VbdSummary) => error && toOneLine(error),
} as const;

export type ColumnName = keyof typeof COLUMNS;

export const USUAL_COLUMNS: readonly ColumnName[] = [
  ...(['vbd', 'domain', 'vdev', 'mode', 'state', 'opened', 'device', 'diskseq', 'target'] as const),
];

/**
 * The default columns if other backend domains are included. They contain only facts that those
 * domains write, and none that only the local kernel knows.
 */
export const REMOTE_COLUMNS: readonly ColumnName[] = [
  ...(['backend-domain', 'vbd', 'domain', 'vdev', 'mode', 'state', 'hotplug-status'] as const),
  ...(['opened', 'device', 'target'] as const),
];

/** Parses a list of columns such as `vbd,size`. Throws `UsageError` for an unknown column. */
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

/** Returns the text of one cell, `-` if there is none. */
export function cellOf(summary: VbdSummary, column: ColumnName): string {
  return COLUMNS[column](summary) || '-';
}

/** Returns the size of the device in bytes. */
function readSize(summary: VbdSummary): string | undefined {
  const sectors = readQueue(summary, 'size');
  return sectors === undefined ? undefined : String(BigInt(sectors) * 512n);
}

/** Reads an attribute of the device in sysfs, if the device is still the published one. */
function readQueue(summary: VbdSummary, attribute: string): string | undefined {
  const { devnum, diskseq, presentDiskseq, isRemote } = summary;
  if (isRemote || devnum === undefined || (diskseq !== undefined && diskseq !== presentDiskseq))
    return undefined;
  return readAttribute(`/sys/dev/block/${formatDevnum(devnum)}`, attribute);
}
