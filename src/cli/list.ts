import { readOwnDomid } from '../vbd/own-domain.js';
import { listBackendDomains, surveyRemoteVbds } from '../vbd/remote-vbds.js';
import { surveyVbds, type VbdSummary } from '../vbd/vbd-summary.js';
import { parseBackendDomain } from './backend-domain.js';
import { cellOf, parseColumns, REMOTE_COLUMNS, USUAL_COLUMNS } from './list-columns.js';
import type { Outcome, StoreContext } from './run.js';
import { UsageError } from './usage-error.js';
import { selectUsers } from './uses.js';
import { alignColumns, clipLines, toJson } from './vbd-text.js';

/**
 * `list`: the vbds of this domain's backends, whoever attached them; of one guest, with an error, or with bytes
 * of a file or device only, where that is asked for.
 */
export async function list(context: StoreContext): Promise<Outcome> {
  const { store, settings, signal, invocation } = context;
  const { columns, errors, 'no-header': noHeader, ...where } = invocation.options ?? {};
  const backendDomain = parseBackendDomain(where['backend-domain']);
  if (where.all !== undefined && backendDomain !== undefined) {
    throw new UsageError('--all and --backend-domain exclude each other: give one of them');
  }
  const isWide = where.all !== undefined || backendDomain !== undefined;
  const usual = isWide ? REMOTE_COLUMNS : USUAL_COLUMNS;
  const wanted = columns === undefined ? usual : parseColumns(columns);
  const all = isWide
    ? await surveyDomains(context, backendDomain)
    : await surveyVbds(store, settings.sysfs, { signal });
  const users = where.uses === undefined ? all : await selectUsers(where.uses, all, signal);
  const shown = users.filter(
    (summary) =>
      isOf(summary, invocation.vbd) && (errors === undefined || summary.error !== undefined),
  );
  const head = noHeader === undefined ? [wanted.map((name) => name.toUpperCase())] : [];
  const rows = shown.map((summary) => wanted.map((name) => cellOf(summary, name)));
  const table = alignColumns([...head, ...rows]);
  // Where no columns are asked for, what is wrong is not to be missed.
  const below = columns === undefined ? shown.flatMap(describeError) : [];
  const lines = [table, ...below].filter((text) => text !== '');
  return {
    text: clipLines(lines.join('\n'), process.stdout.isTTY ? process.stdout.columns : undefined),
    quiet: lines.length === 0,
    json: { vbds: shown.map(toJson) },
  };
}

/** The vbds of one backend domain, or of all of them. */
async function surveyDomains(
  { store, settings, signal }: StoreContext,
  backendDomain: number | undefined,
): Promise<VbdSummary[]> {
  const own = await readOwnDomid(store, { signal });
  const mine =
    backendDomain === undefined || backendDomain === own
      ? await surveyVbds(store, settings.sysfs, { signal })
      : [];
  const others =
    backendDomain === undefined
      ? await listBackendDomains(store, { signal })
      : [backendDomain].filter((domid) => domid !== own);
  const remote = await Promise.all(
    others.map((domid) => surveyRemoteVbds(store, domid, { signal })),
  );
  return [...mine, ...remote.flat()];
}

/** Whether a vbd is of the guest that is named, by number or name. */
function isOf({ vbd, domainName }: VbdSummary, guest: string | undefined): boolean {
  return guest === undefined || String(vbd.domid) === guest || domainName === guest;
}

function describeError(summary: VbdSummary): string[] {
  const { error } = summary;
  return error === undefined ? [] : [alignColumns([[`${cellOf(summary, 'vbd')}: ${error}`]])];
}
