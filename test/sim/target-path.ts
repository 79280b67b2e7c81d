/** Returns the path in a target. Handles only the targets of the schedules. */
export function pathOf(params: string): string {
  const [, name] = /^dm-name=([^,]+)/.exec(params) ?? [];
  if (name !== undefined) return `/dev/mapper/${name}`;
  const [, part] = /^diskseq=\d+,partition=(\d+)/.exec(params) ?? [];
  if (part !== undefined) return `/dev/sda${part}`;
  return /^path=([^,]+)/.exec(params)?.[1] ?? params;
}
