import { listHolders } from '../block/holders.js';
import { checkExport, type ExportRequest, pinLocator } from '../block/open-export.js';
import { errorCode, errorMessage } from '../errors.js';
import { checkSharing } from '../hotplug/check-target.js';
import { toExportRequest } from '../hotplug/plan.js';
import { devnumFromStat } from '../linux/devnum.js';
import { parseTarget } from '../target/target.js';
import { type DeviceStack, formatStack, readStack } from '../topology/stack.js';
import { describeGap, parseDomid, VERDICT_STATUS, type Verdict } from './check.js';
import type { TargetQuestion } from './commands.js';
import { stackToJson } from './device-json.js';
import type { Outcome, QuestionContext } from './run.js';
import { alignColumns } from './vbd-text.js';

/** Nothing is made, so no layer needs a name. */
const INSPECTED = 'inspected';

/** `inspect`: what an `add` of this target would find, and whether it would go through. */
export async function inspect(
  { store, settings, signal, unreachable }: QuestionContext,
  given: TargetQuestion,
): Promise<Outcome> {
  const writable = given.mode === 'w';
  const target = parseTarget(Buffer.from(given.target));
  const request = toExportRequest(target, writable, INSPECTED);
  const { kind, stack, holders } = await look(request);
  const refusal = await refusalOf(checkExport(request, signal));
  const domid = parseDomid(given.frontend);
  const { sharing, sameVm, sysfs, runDirectory } = settings;
  const place = { sysfs, runDirectory, signal };
  const options = { target: given.target, writable, domid, sharing, sameVm, ...place };
  const conflicts = refusal ? [] : (await checkSharing(store, options)).conflicts;
  const verdict = ((): Verdict => {
    if (refusal) return 'refused';
    if (conflicts.length > 0) return 'busy';
    return unreachable === undefined ? 'free' : 'unknown';
  })();
  const gap = unreachable === undefined ? undefined : describeGap(unreachable);
  const reasons = refusal ? [refusal.message] : conflicts.map(({ reason }) => reason);
  const rows = [
    ['target', given.target],
    ['kind', kind === 'file' ? 'regular file, becomes a loop device' : 'block device'],
    ...(stack ? formatStack(stack) : []).map((line, row) => [row === 0 ? 'stack' : '', line]),
    ['held by', holders.join(', ') || '-'],
    ['layer', target.layer ?? '-'],
    ['sharing', target.sharing ?? sharing],
    ...describeVerdict(verdict, reasons, writable),
    ...(gap === undefined ? [] : [['not known', gap]]),
  ];
  return {
    text: alignColumns(rows),
    json: {
      target: given.target,
      mode: given.mode,
      kind,
      stack: stack ? stackToJson(stack) : null,
      holders,
      layer: target.layer ?? null,
      sharing: target.sharing ?? sharing,
      verdict,
      code: refusal?.code ?? null,
      reasons,
      warnings: gap === undefined ? [] : [gap],
    },
    status: VERDICT_STATUS[verdict],
  };
}

function describeVerdict(
  verdict: Verdict,
  reasons: readonly string[],
  writable: boolean,
): string[][] {
  const how = writable ? 'read-write' : 'read-only';
  if (verdict === 'free') return [['verdict', `can be attached ${how}`]];
  if (verdict === 'unknown') return [['verdict', `nothing is known that keeps it from ${how}`]];
  return reasons.map((reason, row) => [row === 0 ? 'verdict' : '', reason]);
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
