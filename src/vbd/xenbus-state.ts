/** enum xenbus_state, by number (xen/include/public/io/xenbus.h). */
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

/** `2 (InitWait)`; the bare text where it is no state of xenbus. */
export function describeXenbusState(state: string | undefined): string {
  const name = NAMES[Number(state)];
  return name === undefined ? (state ?? '-') : `${state} (${name})`;
}
