import type { Devnum } from '../linux/devnum.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { HostLoop } from './host-state.js';

/** The kinds of things that can be left behind or contradict each other. */
export type FindingKind =
  | 'attach-failed'
  | 'backend-domain-gone'
  | 'backend-without-frontend'
  | 'backend-without-guest'
  | 'device-gone'
  | 'diskseq-differs'
  | 'dom0-waits'
  | 'double-writer'
  | 'error-left'
  | 'layer-left'
  | 'loop-unexplained'
  | 'nodes-gone'
  | 'not-open'
  | 'other-script'
  | 'record-left'
  | 'record-unreadable';

/** One thing that an audit has found. `gc` either ends it or says why it does not. */
export type Finding = FoundFact & Ending;

interface FoundFact {
  readonly kind: FindingKind;
  /** Names the vbd, device, node or file that the finding is about. */
  readonly object: string;
  /** One sentence that says what the finding means. */
  readonly meaning: string;
}

/** How a finding is ended: by which command, and by `gc` or not. */
export type Ending = {
  /** The command that clears the finding. A person decides whether to run it. */
  readonly command: string;
} & (Repairable | Left);

interface Repairable {
  /** The repair by which `gc` can clear the finding, because nobody has the object open. */
  readonly repair: Repair;
  readonly leftBecause?: undefined;
}

interface Left {
  readonly repair?: undefined;
  /** The reason for which `gc` leaves the finding to a person; one clause. */
  readonly leftBecause: string;
}

/** The facts about a vbd that must still be true when it is detached. */
export interface SeenVbd {
  readonly state: string | undefined;
  readonly published: { readonly devnum: Devnum; readonly diskseq: bigint | undefined } | undefined;
  /** The loop device that Xen's own script has made for the vbd. */
  readonly node: string | undefined;
}

/** A repair that `gc` can carry out. Each repair looks again right before it changes anything. */
export type Repair =
  | { readonly action: 'detach'; readonly vbd: VbdPath; readonly seen: SeenVbd }
  /** Detaches a vbd that XenStore no longer knows. */
  | { readonly action: 'detach-gone'; readonly vbd: VbdPath }
  | {
      readonly action: 'remove-backend';
      readonly vbd: VbdPath;
      readonly frontend: string;
      readonly seen: SeenVbd;
    }
  | { readonly action: 'clear-loop'; readonly loop: HostLoop }
  | { readonly action: 'remove-error'; readonly vbd: VbdPath }
  | { readonly action: 'remove-file'; readonly path: string };
