/** The states of a xenbus device, as XenStore has them (xen/include/public/io/xenbus.h). */
export const XenbusState = {
  Initialising: '1',
  InitWait: '2',
  Initialised: '3',
  Connected: '4',
  Closing: '5',
  Closed: '6',
} as const;

/** The names of all states, by their numbers. */
const NAMES = [
  'Unknown',
  'Initialising',
  'InitWait',
  'Initialised',
  'Connected',
  'Closing',
  'Closed',
  'Reconfiguring',
  'Reconfigured',
];

/**
 * Describes a state for people: `2 (InitWait)`. Returns the bare text where it is no state of xenbus,
 * and `-` where there is none.
 */
export function describeXenbusState(state: string | undefined): string {
  const name = NAMES[Number(state)];
  return name === undefined ? (state ?? '-') : `${state} (${name})`;
}
