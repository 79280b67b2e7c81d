import { errorCode, errorMessage } from '../errors.js';
import { inspectTarget } from '../hotplug/inspect-target.js';
import { formatStack } from '../topology/stack.js';
import { describeUnreachable, VERDICT_STATUS, type Verdict } from './check.js';
import type { TargetQuestion } from './command-runs.js';
import { stackToJson } from './device-json.js';
import { parseDomid } from './domid.js';
import type { Outcome, QuestionContext } from './invocation.js';
import { withRemedy } from './result.js';
import { alignColumns } from './vbd-text.js';

/** Runs `inspect`: tells what an `add` of this target would find, and whether it would succeed. */
export async function inspect(
  { store, settings, signal, unreachable }: QuestionContext,
  given: TargetQuestion,
): Promise<Outcome> {
  const writable = given.mode === 'w';
  const domid = parseDomid('frontend', given.frontend);
  const { sharing, sameVm, sysfs, runDirectory } = settings;
  const place = { sysfs, runDirectory, signal };
  const options = { target: given.target, writable, domid, sharing, sameVm, ...place };
  const found = await inspectTarget(store, options);
  const { target, kind, stack, holders, conflicts } = found;
  const { refusal, barred } = tellApart(found.refusal);
  const gaps = [
    ...(barred === undefined ? [] : [barred]),
    ...describeUnreachable(unreachable),
    ...found.gaps,
  ];
  const verdict = ((): Verdict => {
    if (refusal !== undefined) return 'refused';
    if (conflicts.length > 0) return 'busy';
    return gaps.length === 0 ? 'free' : 'unknown';
  })();
  const reasons =
    refusal === undefined ? conflicts.map(({ reason }) => reason) : [errorMessage(refusal)];
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
      code: errorCode(refusal) ?? null,
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
 * Tells a refusal from an error that says nothing about the target: the kernel lets only root look.
 * `barred` is the message of such an error, with what to do.
 */
function tellApart(error: unknown): { readonly refusal?: unknown; readonly barred?: string } {
  if (error === undefined) return {};
  const message = withRemedy(error);
  return message === errorMessage(error) ? { refusal: error } : { barred: message };
}
