import { getSize } from '../../linux/block-ioctl.js';
import type { MapperState } from '../../linux/mapper-state.js';
import type { BlockDevice } from '../block-device.js';
import { BlockError } from '../block-error.js';

/** The parts of a dm-verity table line that say what is verified and what happens if that fails. */
export interface VerityTable {
  readonly dataBlockSize: bigint;
  readonly dataBlocks: bigint;
  readonly algorithm: string;
  /** Hex, lower case. */
  readonly rootDigest: string;
  /** What happens at a corrupt block: `eio`, or the option of the table that changes this. */
  readonly onCorruption: string;
  /**
   * Whether a block is verified only when it is read for the first time (`check_at_most_once`). If
   * the device below changes afterwards, corrupt blocks are passed on.
   */
  readonly checksOnce: boolean;
}

const MODES = ['ignore_corruption', 'restart_on_corruption', 'panic_on_corruption'];

/**
 * Reads the table of a mapper device. Returns `undefined` unless the table is a single dm-verity
 * target.
 */
export function parseVerity({ targets }: MapperState): VerityTable | undefined {
  const [target] = targets;
  if (target === undefined || targets.length > 1 || target.type !== 'verity') return undefined;
  // Documentation/admin-guide/device-mapper/verity.rst: version, data device, hash device, data
  // block size, hash block size, data blocks, first hash block, algorithm, root digest, salt,
  // options.
  const fields = target.params.split(' ');
  const [size, blocks, algorithm, digest] = [fields[3], fields[5], fields[7], fields[8]];
  if (!/^\d+$/.test(size ?? '') || !/^\d+$/.test(blocks ?? '') || !algorithm || !digest) {
    return undefined;
  }
  const options = fields.slice(10);
  return {
    dataBlockSize: BigInt(size ?? 0),
    dataBlocks: BigInt(blocks ?? 0),
    algorithm,
    rootDigest: digest.toLowerCase(),
    onCorruption: options.find((option) => MODES.includes(option)) ?? 'eio',
    checksOnce: options.includes('check_at_most_once'),
  };
}

/**
 * Throws `BlockError` with the code `EVERITY` unless the device is a single dm-verity target with
 * this root digest that covers the whole device. A target that may pass corrupt blocks on proves
 * nothing and is refused too: one that ignores corruption, and one that verifies a block only when
 * it is read for the first time (Documentation/admin-guide/device-mapper/verity.rst). `rootDigest`
 * is lower-case hex.
 */
export async function checkVerity(
  device: BlockDevice,
  mapper: MapperState,
  rootDigest: string,
): Promise<void> {
  const refuse = (problem: string): BlockError =>
    new BlockError(`mapper device ${mapper.name} ${problem}`, { code: 'EVERITY' });
  const table = parseVerity(mapper);
  if (table === undefined) {
    const types = mapper.targets.map(({ type }) => type).join(', ');
    throw refuse(`is not one dm-verity target, as verity-root asks for, but ${types}`);
  }
  if (!sameDigest(table.rootDigest, rootDigest)) {
    throw refuse(
      `has the root digest ${table.rootDigest} (${table.algorithm}), and verity-root asks for ${rootDigest}`,
    );
  }
  const [start, size] = [mapper.targets[0]?.start ?? 0n, await getSize(device.fd)];
  const covered = table.dataBlocks * table.dataBlockSize;
  if (start !== 0n || covered !== size) {
    throw refuse(
      `has ${size} bytes, of which dm-verity covers ${covered} from byte ${start * 512n} on`,
    );
  }
  if (table.onCorruption === 'ignore_corruption') {
    throw refuse('has the option ignore_corruption: corrupt blocks would reach the guest');
  }
  if (table.checksOnce) {
    throw refuse(
      'has the option check_at_most_once: blocks that become corrupt after they were read once would reach the guest; set it up without that option',
    );
  }
}

/** Compares two digests. The time that this takes does not show how much of the digest is right. */
function sameDigest(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  const { timingSafeEqual } = process.getBuiltinModule('node:crypto');
  return one.length === other.length && timingSafeEqual(one, other);
}
