import { checkSharing } from '../hotplug/check-target.js';
import { formatDevnum } from '../linux/devnum.js';
import type { Rival } from '../sharing/rivals.js';
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
  const { use, rivals } = await checkSharing(store, {
    target,
    writable: mode === 'w',
    domid: parseDomid(frontend),
    sharing: settings.sharing,
    signal,
  });
  const free = rivals.length === 0;
  return {
    text: free
      ? `${use.subject} can be attached ${use.access}`
      : rivals.map(({ reason }) => reason).join('\n'),
    json: {
      target,
      mode,
      sharing: use.sharing,
      verdict: free ? 'free' : 'busy',
      rivals: rivals.map(({ rival, reason }) => ({ ...describe(rival), reason })),
    },
    status: free ? 0 : 1,
  };
}

function describe(rival: Rival): Record<string, unknown> {
  const { kind, access, path, devnum } = rival;
  const device = { kind, access, path, devnum: devnum === undefined ? null : formatDevnum(devnum) };
  if (rival.kind !== 'guest') return { ...device, where: rival.where };
  return {
    ...device,
    backend: rival.vbd.backend,
    domid: rival.domain.domid,
    domain: rival.domain.name ?? null,
  };
}

/** The number of a domain. Throws `UsageError`. */
export function parseDomid(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^(0|[1-9]\d{0,4})$/.test(text)) return Number(text);
  throw new UsageError(`frontend ${JSON.stringify(text)}: the number of a domain is needed`);
}
