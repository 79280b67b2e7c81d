import type { VbdPath } from '../vbd/vbd-path.js';

/** The kinds of things that can be left behind or contradict each other. */
export type FindingKind =
  | 'attach-failed'
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

/** One thing that an audit has found. */
export interface Finding {
  readonly kind: FindingKind;
  /** Names the vbd, device, node or file that the finding is about. */
  readonly object: string;
  /** One sentence that says what the finding means. */
  readonly meaning: string;
  /** The command that clears the finding. A person decides whether to run it. */
  readonly command: string;
  /** The repair by which `gc` can clear the finding, because nobody has the object open. */
  readonly repair: Repair | undefined;
}

/** A repair that `gc` can carry out. Each repair that concerns a vbd looks again first. */
export type Repair =
  | { readonly action: 'detach'; readonly vbd: VbdPath }
  /** Detaches a vbd that XenStore no longer knows. */
  | { readonly action: 'detach-gone'; readonly vbd: VbdPath }
  | { readonly action: 'remove-backend'; readonly vbd: VbdPath; readonly frontend: string }
  | { readonly action: 'remove-error'; readonly vbd: VbdPath }
  | { readonly action: 'remove-file'; readonly path: string };
