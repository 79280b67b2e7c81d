import { formatDevnum } from '../linux/devnum.js';
import { toCell } from '../util/one-line.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';

/** Returns `yes (sysfs)`, `no (key)`, or `unknown`, with the source in parentheses. */
export function describeOpened({ opened }: VbdSummary): string {
  return opened.open === undefined ? 'unknown' : `${opened.open ? 'yes' : 'no'} (${opened.by})`;
}

/** Returns the published diskseq, and the present diskseq if it differs. */
export function describeDiskseq(summary: VbdSummary): string {
  const { diskseq, presentDiskseq, devnum, isRemote } = summary;
  if (devnum === undefined) return '-';
  const published = diskseq === undefined ? 'none' : String(diskseq);
  if (isRemote || diskseq === undefined || diskseq === presentDiskseq) return published;
  return `${published} (now ${presentDiskseq ?? 'no device'})`;
}

/** Returns the JSON of a vbd. Numbers that may be large are decimal texts. */
export function toJson(summary: VbdSummary): Record<string, unknown> {
  const { vbd, opened } = summary;
  const text = (value: bigint | undefined): string | null =>
    value === undefined ? null : String(value);
  return {
    backend: vbd.backend,
    'backend-domid': summary.isRemote ? (vbd.backendDomid ?? null) : null,
    domid: vbd.domid,
    domain: summary.domainName ?? null,
    devid: vbd.devid,
    'nodes-gone': summary.nodesGone,
    vdev: summary.vdev ?? null,
    mode: summary.mode ?? null,
    target: summary.target ?? null,
    device: summary.device ?? null,
    devnum: summary.devnum === undefined ? null : formatDevnum(summary.devnum),
    diskseq: text(summary.diskseq),
    'present-diskseq': text(summary.presentDiskseq),
    opened: opened.open ?? null,
    'opened-by': opened.by ?? null,
    state: summary.state ?? null,
    online: summary.online,
    'hotplug-status': summary.hotplugStatus ?? null,
    error: summary.error ?? null,
  };
}

/**
 * Aligns rows of cells. Each column is as wide as its widest cell. Control characters in cells,
 * such as line ends, become `\xNN`.
 */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map(toCell));
  const widths = (clean[0] ?? []).map((_, column) =>
    Math.max(...clean.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return clean.map((row) => line(row).trimEnd()).join('\n');
}

/** Cuts lines to `width` columns. Keeps them whole if `width` is `undefined`: no terminal. */
export function clipLines(text: string, width: number | undefined): string {
  if (width === undefined || width < 1) return text;
  return text
    .split('\n')
    .map((line) => {
      const letters = [...line];
      return letters.length <= width ? line : `${letters.slice(0, width - 1).join('')}…`;
    })
    .join('\n');
}
