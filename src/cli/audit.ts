import { audit as auditHost } from '../audit/audit.js';
import type { FindOptions } from '../audit/find-faults.js';
import type { Finding } from '../audit/finding.js';
import { errorMessage } from '../errors.js';
import { toOneLine } from '../util/one-line.js';
import { pause } from '../util/retry.js';
import { ExitStatus } from './exit-status.js';
import type { Outcome, StoreContext } from './invocation.js';
import { listScriptNames } from './script-names.js';

/** Runs `audit`: lists the findings, their meanings, and the commands that clear them. */
export async function audit(context: StoreContext): Promise<Outcome> {
  const findings = await find(context);
  return {
    text:
      findings.length === 0
        ? 'Everything fits together.'
        : findings.map((finding) => describe(finding)).join('\n'),
    json: { findings: findings.map(toJson) },
    status: findings.length === 0 ? ExitStatus.done : ExitStatus.failed,
  };
}

/**
 * Runs `gc`: repairs the findings about objects that nobody has open. Without `--yes`, only lists
 * the repairs.
 */
export async function collectGarbage(context: StoreContext): Promise<Outcome> {
  const { store, settings, signal, invocation } = context;
  const isReal = invocation.options?.yes !== undefined;
  const loops = invocation.options?.loops !== undefined;
  const results: { finding: Finding; error: string | undefined }[] = [];
  const findings = await find(context, { loops });
  const left = findings.filter((finding) => finding.repair === undefined);
  for (const finding of findings) {
    if (finding.repair === undefined) continue;
    let error: string | undefined;
    if (isReal) {
      const { repair } = await import('../audit/repair.js');
      error = await repair(store, finding.repair, { ...settings, signal }).then(
        () => undefined,
        (reason: unknown) => toOneLine(errorMessage(reason)),
      );
    }
    results.push({ finding, error });
  }
  const lines = results.map(({ finding, error }) => {
    if (!isReal) return `would end ${describe(finding)}`;
    return error === undefined ? `ended ${title(finding)}` : `failed ${title(finding)}: ${error}`;
  });
  const rest = left.map(
    (finding) =>
      `left to you ${describe(finding)}\n    gc leaves it: ${toOneLine(finding.leftBecause ?? '')}`,
  );
  if (lines.length + rest.length === 0) lines.push('Nothing is left behind.');
  if (!isReal && results.length > 0) rest.push('Nothing has been changed: --yes does it.');
  const hasFailed = results.some(({ error }) => error !== undefined);
  return {
    text: [...lines, ...rest].join('\n'),
    json: {
      'dry-run': !isReal,
      ended: results.map(({ finding, error }) => ({ ...toJson(finding), error: error ?? null })),
      left: left.map(toJson),
    },
    status: hasFailed ? ExitStatus.failed : ExitStatus.done,
  };
}

async function find(
  { store, settings, signal }: StoreContext,
  options: FindOptions = {},
): Promise<Finding[]> {
  const place = { ...settings, scripts: listScriptNames() };
  return await auditHost(store, place, (ms) => pause(ms, signal), { signal, ...options });
}

function title({ kind, object }: Finding): string {
  return toOneLine(`${object} (${kind})`);
}

function describe(finding: Finding): string {
  const { meaning, command } = finding;
  return `${title(finding)}:\n    ${toOneLine(meaning)}\n    to end it: ${toOneLine(command)}`;
}

function toJson(finding: Finding): Record<string, unknown> {
  const { kind, object, meaning, command, repair, leftBecause } = finding;
  const reason = leftBecause ?? null;
  return { kind, object, meaning, command, automatic: repair !== undefined, reason };
}
