import type { VbdPath } from '../vbd/vbd-path.js';

/** What can be left behind, or not fit together. */
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

/** One thing that does not fit. */
export interface Finding {
  readonly kind: FindingKind;
  /** What it is about: a vbd, a device, a node, a file. */
  readonly object: string;
  /** What it means, in one sentence. */
  readonly meaning: string;
  /** The command that ends it; a person decides. */
  readonly command: string;
  /** `gc` can end it, as nobody has anything of it open. */
  readonly repair: Repair | undefined;
}

/** What `gc` does. Each looks again before it changes anything. */
export type Repair =
  | { readonly action: 'detach'; readonly vbd: VbdPath }
  /** The same of a vbd that XenStore does not know any more. */
  | { readonly action: 'detach-gone'; readonly vbd: VbdPath }
  | { readonly action: 'remove-backend'; readonly vbd: VbdPath; readonly frontend: string }
  | { readonly action: 'remove-error'; readonly vbd: VbdPath }
  | { readonly action: 'remove-file'; readonly path: string };
