import type { Sharing } from '../sharing/matrix.js';
import type { OpenedBy } from '../vbd/opened.js';
import type { Publications } from '../vbd/publications.js';
import type { Publication, Uapi } from '../vbd/publish.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';

export interface AttachOptions {
  /** Everything included, roll-back too; milliseconds. */
  readonly timeoutMs: number;
  readonly uapi: Uapi;
  /** Root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs: string;
  readonly runDirectory: string;
  /** For targets that do not say; `deny` if it is left out. */
  readonly sharing?: Sharing | undefined;
  /** Where what the other vbds have is known from; by default all of XenStore is read for it. */
  readonly publications?: Publications | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The backend as it was a moment ago, which need not be read again: the publication checks it. */
  readonly seen?: VbdBackend | undefined;
  /** Told of each step as it is done. */
  readonly onStep?: ((step: AttachStep, detail: string) => void) | undefined;
}

export type AttachStep =
  | 'planned'
  | 'opened'
  | 'ready'
  | 'published'
  | 'connected'
  | 'marked'
  | 'released';

export interface AttachResult {
  readonly backend: string;
  readonly publication: Publication;
  readonly openedBy: OpenedBy;
  /** The device had been published before; nothing was made. */
  readonly already: boolean;
  /** What did not go as asked, although the guest has its disk; a sentence each. */
  readonly warnings: readonly string[];
}
