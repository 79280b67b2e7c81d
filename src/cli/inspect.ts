import { listHolders } from '../block/holders.js';
import { checkExport, type ExportRequest, pinLocator } from '../block/open-export.js';
import { errorCode, errorMessage } from '../errors.js';
import { checkSharing } from '../hotplug/check-target.js';
import { toExportRequest } from '../hotplug/plan.js';
import { devnumFromStat, formatDevnum } from '../linux/devnum.js';
import { parseTarget } from '../target/target.js';
import { type DeviceStack, formatStack, readStack } from '../topology/stack.js';
import { type CheckArguments, parseDomid } from './check.js';
import type { Outcome, StoreContext } from './run.js';
import { alignColumns } from './vbd-text.js';

/** Nothing is made, so no layer needs a name. */
const INSPECTED = 'inspected';

/** `inspect`: what an `add` of this target would find, and whether it would go through. */
export async function inspect(
  { store, settings, signal }: StoreContext,
  given: CheckArguments,
): Promise<Outcome> {
  const writable = given.mode === 'w';
  const target = parseTarget(Buffer.from(given.target));
  const request = toExportRequest(target, writable, INSPECTED);
  const { kind, stack, holders } = await look(request);
  const refusal = await refusalOf(checkExport(request, signal));
  const domid = parseDomid(given.frontend);
  const { sharing, sameVm, sysfs } = settings;
  const options = { target: given.target, writable, domid, sharing, sameVm, sysfs, signal };
  const conflicts = refusal ? [] : (await checkSharing(store, options)).conflicts;
  const reasons = refusal ? [refusal.message] : conflicts.map(({ reason }) => reason);
  const rows = [
    ['target', given.target],
    ['kind', kind === 'file' ? 'regular file, becomes a loop device' : 'block device'],
    ...(stack ? formatStack(stack) : []).map((line, row) => [row === 0 ? 'stack' : '', line]),
    ['held by', holders.join(', ') || '-'],
    ['layer', target.layer ?? '-'],
    ['sharing', target.sharing ?? sharing],
    ...(reasons.length === 0
      ? [['verdict', `can be attached ${writable ? 'read-write' : 'read-only'}`]]
      : reasons.map((reason, row) => [row === 0 ? 'verdict' : '', reason])),
  ];
  return {
    text: alignColumns(rows),
    json: {
      target: given.target,
      mode: given.mode,
      kind,
      stack: stack ? toJson(stack) : null,
      holders,
      layer: target.layer ?? null,
      sharing: target.sharing ?? sharing,
      verdict: refusal ? 'refused' : conflicts.length > 0 ? 'busy' : 'free',
      code: refusal?.code ?? null,
      reasons,
    },
    status: reasons.length === 0 ? 0 : 1,
  };
}

async function refusalOf(
  checked: Promise<void>,
): Promise<{ code: string | undefined; message: string } | undefined> {
  try {
    await checked;
    return undefined;
  } catch (error) {
    return { code: errorCode(error), message: errorMessage(error) };
  }
}

/** What a target leads to, whether or not it can be attached. */
async function look({ locator }: ExportRequest): Promise<{
  kind: 'block' | 'file';
  stack: DeviceStack | undefined;
  holders: readonly string[];
}> {
  const { fd, kind } = await pinLocator(locator);
  await using node = fd;
  if (kind === 'file') return { kind, stack: undefined, holders: [] };
  const devnum = devnumFromStat(node.inode.rdev);
  const [stack, holders] = await Promise.all([readStack(devnum), listHolders(devnum)]);
  return { kind, stack, holders: holders.map(({ name }) => name) };
}

function toJson(device: DeviceStack): Record<string, unknown> {
  const { path, devnum, kind, diskseq, size, readOnly, detail, mapper, below } = device;
  return {
    path,
    devnum: formatDevnum(devnum),
    kind,
    diskseq: diskseq === undefined ? null : String(diskseq),
    size: String(size),
    'read-only': readOnly,
    detail,
    'dm-name': mapper?.name ?? null,
    'dm-uuid': mapper?.uuid ?? null,
    below: below.map(toJson),
  };
}
