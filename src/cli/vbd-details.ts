import { parseTarget } from '../target/target.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';
import { backendNode } from '../vbd/vbd-path.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { cellOf } from './list-columns.js';

/** The facts that `show` prints about a vbd in addition to its summary. */
export interface VbdDetails {
  readonly script: string | undefined;
  readonly frontendState: string | undefined;
  /**
   * The sizes of the device and of its logical blocks in bytes; `undefined` if the device is not on
   * this machine.
   */
  readonly size: string | undefined;
  readonly blockSize: string | undefined;
  /** The values in the target; `undefined` if the target has none, or cannot be parsed. */
  readonly layer: string | undefined;
  readonly sharing: string | undefined;
}

/** Reads the details of a vbd from XenStore, sysfs and its target. Throws as the store does. */
export async function readDetails(
  store: Xenstore,
  summary: VbdSummary,
  options: RequestOptions,
): Promise<VbdDetails> {
  const nodes = ['script', 'frontend'].map((node) => backendNode(summary.vbd, node));
  const [script, frontend] = await store.readMany(nodes, options);
  const [state] =
    frontend === undefined ? [] : await store.readMany([`${frontend.toString()}/state`], options);
  const cell = (name: 'size' | 'block-size'): string | undefined => {
    const text = cellOf(summary, name);
    return text === '-' ? undefined : text;
  };
  return {
    script: script?.toString('utf8'),
    frontendState: state?.toString('utf8'),
    size: cell('size'),
    blockSize: cell('block-size'),
    ...readTarget(summary.target),
  };
}

function readTarget(text: string | undefined): Pick<VbdDetails, 'layer' | 'sharing'> {
  try {
    const { layer, sharing } = parseTarget(Buffer.from(text ?? ''));
    return { layer, sharing };
  } catch {
    return { layer: undefined, sharing: undefined };
  }
}

/** Returns the rows of the table of `show`, each with a name and a value. */
export function detailRows(details: VbdDetails): string[][] {
  const { script, frontendState, size, blockSize, layer, sharing } = details;
  return [
    ['script', script ?? '-'],
    ['frontend state', describeXenbusState(frontendState)],
    [
      'size',
      size === undefined ? '-' : `${size} bytes, in blocks of ${blockSize ?? 'unknown size'}`,
    ],
    ['layer', layer ?? '-'],
    ['sharing', sharing ?? 'as set (xen-blkback config)'],
  ];
}

export function detailsToJson(details: VbdDetails): Record<string, unknown> {
  return {
    script: details.script ?? null,
    'frontend-state': details.frontendState ?? null,
    size: details.size ?? null,
    'block-size': details.blockSize === undefined ? null : Number(details.blockSize),
    layer: details.layer ?? null,
    sharing: details.sharing ?? null,
  };
}
