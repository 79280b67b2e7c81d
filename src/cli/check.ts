import { checkSharing, type SharingVerdict } from '../hotplug/check-target.js';
import { formatDevnum } from '../linux/devnum.js';
import type { Conflict } from '../sharing/find-conflicts.js';
import type { SharingRequest } from '../sharing/sharing-request.js';
import type { TargetQuestion } from './command-runs.js';
import { parseDomid } from './domid.js';
import { ExitStatus } from './exit-status.js';
import type { Outcome, QuestionContext } from './invocation.js';
import { complain } from './output.js';

/** Runs `check`: tells whether a target could be attached beside its present users, or why not. */
export async function check(
  { store, settings, signal, unreachable }: QuestionContext,
  { target, mode, frontend }: TargetQuestion,
): Promise<Outcome> {
  const { use, conflicts, warnings, gaps } = await checkSharing(store, {
    target,
    writable: mode === 'w',
    domid: parseDomid('frontend', frontend),
    sharing: settings.sharing,
    sameVm: settings.sameVm,
    sysfs: settings.sysfs,
    runDirectory: settings.runDirectory,
    signal,
  });
  const open = [...describeUnreachable(unreachable), ...gaps];
  const told = [...warnings, ...open];
  for (const warning of told) complain(`xen-blkback: ${warning}\n`);
  const verdict = conflicts.length > 0 ? 'busy' : open.length === 0 ? 'free' : 'unknown';
  return {
    text: TEXTS[verdict](use, conflicts),
    json: {
      target,
      mode,
      sharing: use.sharing,
      verdict,
      warnings: told,
      conflicts: conflicts.map(({ conflict, reason }) => ({ ...describe(conflict), reason })),
    },
    status: VERDICT_STATUS[verdict],
  };
}

/** Returns a sentence about the uses that are not known if XenStore is unreachable, or none. */
export function describeUnreachable(unreachable: string | undefined): string[] {
  if (unreachable === undefined) return [];
  const gap = `${unreachable}; without XenStore disks are not known that were published and are not open yet, nor those that QEMU and tapdisk serve, nor the names of guests`;
  return [gap];
}

export type Verdict = 'free' | 'refused' | 'busy' | 'unknown';

export const VERDICT_STATUS: Readonly<Record<Verdict, number>> = {
  free: ExitStatus.done,
  refused: ExitStatus.failed,
  busy: ExitStatus.busy,
  unknown: ExitStatus.unknown,
};

const TEXTS = {
  free: ({ subject, access }: SharingRequest) => `${subject} can be attached ${access}`,
  busy: (_: SharingRequest, conflicts: SharingVerdict['conflicts']) =>
    conflicts.map(({ reason }) => reason).join('\n'),
  unknown: ({ subject, access }: SharingRequest) =>
    `nothing that the kernel tells keeps ${subject} from being attached ${access}`,
} as const;

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
