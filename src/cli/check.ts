import { checkSharing } from '../hotplug/check-target.js';
import { formatDevnum } from '../linux/devnum.js';
import type { Conflict } from '../sharing/conflicts.js';
import type { Outcome, StoreContext } from './run.js';
import { UsageError } from './usage-error.js';

export interface CheckArguments {
  readonly target: string;
  readonly mode: string;
  readonly frontend: string | undefined;
}

/** `check`: whether a target could be attached beside all that uses it now, and if not, why. */
export async function check(
  { store, settings, signal }: StoreContext,
  { target, mode, frontend }: CheckArguments,
): Promise<Outcome> {
  const { use, conflicts, warnings } = await checkSharing(store, {
    target,
    writable: mode === 'w',
    domid: parseDomid(frontend),
    sharing: settings.sharing,
    sameVm: settings.sameVm,
    sysfs: settings.sysfs,
    signal,
  });
  for (const warning of warnings) process.stderr.write(`xen-blkback: ${warning}\n`);
  const free = conflicts.length === 0;
  return {
    text: free
      ? `${use.subject} can be attached ${use.access}`
      : conflicts.map(({ reason }) => reason).join('\n'),
    json: {
      target,
      mode,
      sharing: use.sharing,
      verdict: free ? 'free' : 'busy',
      warnings,
      rivals: conflicts.map(({ conflict, reason }) => ({ ...describe(conflict), reason })),
    },
    status: free ? 0 : 1,
  };
}

function describe(conflict: Conflict): Record<string, unknown> {
  const { kind, access, path, devnum } = conflict;
  const device = { kind, access, path, devnum: devnum === undefined ? null : formatDevnum(devnum) };
  if (conflict.kind === 'unexplained') return { ...device, openers: conflict.processes };
  if (conflict.kind !== 'guest') return { ...device, where: conflict.where };
  return {
    ...device,
    backend: conflict.vbd.backend,
    domid: conflict.domain.domid,
    domain: conflict.domain.name ?? null,
    open: conflict.open,
    'nodes-gone': conflict.nodesGone,
  };
}

/** The number of a domain. Throws `UsageError`. */
export function parseDomid(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^(0|[1-9]\d{0,4})$/.test(text)) return Number(text);
  throw new UsageError(`frontend ${JSON.stringify(text)}: the number of a domain is needed`);
}
