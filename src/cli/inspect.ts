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
import { withRemedy } from './result.js';
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
  const { barred, ...outcome } = await refusalOf(checkExport(request, signal));
  const { refusal } = outcome;
  const domid = parseDomid(given.frontend);
  const { sharing, sameVm, sysfs } = settings;
  const options = { target: given.target, writable, domid, sharing, sameVm, sysfs, signal };
  const conflicts = refusal || barred ? [] : (await checkSharing(store, options)).conflicts;
  const verdict = ((): Verdict => {
    if (refusal) return 'refused';
    if (conflicts.length > 0) return 'busy';
    return unreachable === undefined && barred === undefined ? 'free' : 'unknown';
  })();
  const gaps = [
    ...(barred === undefined ? [] : [barred]),
    ...(unreachable === undefined ? [] : [describeGap(unreachable)]),
  ];
  const reasons = refusal ? [refusal.message] : conflicts.map(({ reason }) => reason);
  const rows = [
    ['target', given.target],
    ['kind', kind === 'file' ? 'regular file, becomes a loop device' : 'block device'],
    ...(stack ? formatStack(stack) : []).map((line, row) => [row === 0 ? 'stack' : '', line]),
    ['held by', holders.join(', ') || '-'],
    ['layer', target.layer ?? '-'],
    ['sharing', target.sharing ?? sharing],
    ...describeVerdict(verdict, reasons, writable),
    ...gaps.map((gap, row) => [row === 0 ? 'not known' : '', gap]),
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
      warnings: gaps,
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

/**
 * Why a target cannot be attached. What the kernel keeps from a user who is not root says nothing of that:
 * `barred`, with what to do.
 */
async function refusalOf(checked: Promise<void>): Promise<{
  readonly refusal?: { readonly code: string | undefined; readonly message: string };
  readonly barred?: string;
}> {
  try {
    await checked;
    return {};
  } catch (error) {
    const message = withRemedy(error);
    if (message !== errorMessage(error)) return { barred: message };
    return { refusal: { code: errorCode(error), message } };
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
