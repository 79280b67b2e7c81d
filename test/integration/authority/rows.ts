import { defineDeletedNodes } from './deleted-nodes.js';
import { defineDetaching } from './detaching.js';
import { defineFailuresAfterOpen } from './failures-after-open.js';
import type { Kind } from './ground.js';
import { defineLateOpens } from './late-opens.js';
import { defineLinks } from './links.js';
import { defineSpellings } from './spellings.js';

/** Defines the tests that are the same for each kind of target. */
export function defineRows(kind: Kind): void {
  defineLateOpens(kind);
  defineFailuresAfterOpen(kind);
  defineDeletedNodes(kind);
  defineSpellings(kind);
  defineDetaching(kind);
  defineLinks(kind);
}
