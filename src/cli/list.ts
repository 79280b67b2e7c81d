import { toOneLine } from '../util/one-line.js';
import { readOwnDomid } from '../vbd/own-domain.js';
import { listBackendDomains, summarizeRemoteVbds } from '../vbd/remote-vbds.js';
import { summarizeVbds, type VbdSummary } from '../vbd/summarize-vbd.js';
import { parseDomid } from './domid.js';
import type { Outcome, StoreContext } from './invocation.js';
import { cellOf, parseColumns, REMOTE_COLUMNS, USUAL_COLUMNS } from './list-columns.js';
import { requireDomain, requireGuest } from './require-guest.js';
import { UsageError } from './usage-error.js';
import { selectUsers } from './uses.js';
import { alignColumns, clipLines, toJson } from './vbd-text.js';

/**
 * Runs `list`: lists the vbds of this domain's backends, no matter which program attached them.
 * Options limit the list to one guest, to vbds with an error, or to vbds that use the bytes of a
 * file or device, or extend it to other backend domains.
 */
export async function list(context: StoreContext): Promise<Outcome> {
  const { store, settings, signal, invocation } = context;
  const { columns, errors, 'no-header': noHeader, ...where } = invocation.options ?? {};
  const backendDomain = parseDomid('backend-domain', where['backend-domain']);
  if (where.all !== undefined && backendDomain !== undefined) {
    throw new UsageError('--all and --backend-domain exclude each other: give one of them');
  }
  const isWide = where.all !== undefined || backendDomain !== undefined;
  const usual = isWide ? REMOTE_COLUMNS : USUAL_COLUMNS;
  const wanted = columns === undefined ? usual : parseColumns(columns);
  const all = isWide
    ? await surveyDomains(context, backendDomain)
    : await summarizeVbds(store, settings.sysfs, { signal });
  const guest = invocation.vbd;
  const ofGuest = all.filter((summary) => isOf(summary, guest));
  if (guest !== undefined && ofGuest.length === 0) await requireGuest(store, guest, { signal });
  const users = where.uses === undefined ? ofGuest : await selectUsers(where.uses, ofGuest, signal);
  const shown = users.filter(({ error }) => errors === undefined || error !== undefined);
  const head = noHeader === undefined ? [wanted.map((name) => name.toUpperCase())] : [];
  const rows = shown.map((summary) => wanted.map((name) => cellOf(summary, name)));
  const table = alignColumns([...head, ...rows]);
  // The default output also shows errors, so that nobody misses them.
  const below = columns === undefined ? shown.flatMap(describeError) : [];
  const lines = [table, ...below].filter((text) => text !== '');
  return {
    text: clipLines(lines.join('\n'), process.stdout.isTTY ? process.stdout.columns : undefined),
    quiet: lines.length === 0,
    json: { vbds: shown.map(toJson) },
  };
}

/** Returns the vbds of one backend domain, or of all backend domains. */
async function surveyDomains(
  { store, settings, signal }: StoreContext,
  backendDomain: number | undefined,
): Promise<VbdSummary[]> {
  const own = await readOwnDomid(store, { signal });
  if (backendDomain !== undefined) await requireDomain(store, backendDomain, { signal });
  const mine =
    backendDomain === undefined || backendDomain === own
      ? await summarizeVbds(store, settings.sysfs, { signal })
      : [];
  const others =
    backendDomain === undefined
      ? await listBackendDomains(store, { signal })
      : [backendDomain].filter((domid) => domid !== own);
  const remote = await Promise.all(
    others.map((domid) => summarizeRemoteVbds(store, domid, { signal })),
  );
  return [...mine, ...remote.flat()];
}

/** Tells whether a vbd belongs to the guest with this number or name. */
function isOf({ vbd, domainName }: VbdSummary, guest: string | undefined): boolean {
  return guest === undefined || String(vbd.domid) === guest || domainName === guest;
}

function describeError(summary: VbdSummary): string[] {
  const { error } = summary;
  return error === undefined ? [] : [`${cellOf(summary, 'vbd')}: ${toOneLine(error)}`];
}
