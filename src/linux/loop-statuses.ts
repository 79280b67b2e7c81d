import { blockingCall } from './blocking-call.js';
import { SystemError } from './errno.js';
import { decodeLoopStatus, type LoopStatus } from './loop-ioctl.js';

/** The answer of a loop device. */
export interface LoopAnswer {
  /** Device number of the opened node, as in stat(2); 0 if no node was opened. */
  readonly rdev: bigint;
  readonly result: LoopStatus | SystemError;
}

/** The signal that gives the call up, and the function that is called then. */
export interface LoopStatusesOptions {
  /** Gives the call up. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the call is given up. The promise resolves when the call has come back. */
  readonly onAbandoned?: ((cameBack: Promise<void>) => void) | undefined;
}

// struct LoopRecord of native/loop_statuses.cc.
const RECORD_SIZE = 256;
const RECORD = { number: 0, error: 4, step: 8, device: 16, info: 24 };
const STEPS = ['open', 'fstat', 'LOOP_GET_STATUS64'];

/**
 * Opens loop devices and reads the status of each, one after another, in one call on another
 * thread. If one device does not answer, the call does not return, and no other device has an
 * answer either. `numbers` are the numbers of /dev/loopN. Throws as `blockingCall` does.
 */
export async function readLoopStatuses(
  numbers: readonly number[],
  { signal, onAbandoned }: LoopStatusesOptions = {},
): Promise<LoopAnswer[]> {
  const records = Buffer.alloc(RECORD_SIZE * numbers.length);
  numbers.forEach((number, index) => {
    records.writeUInt32LE(number, index * RECORD_SIZE + RECORD.number);
  });
  await blockingCall({
    call: 'loopStatuses',
    args: [records],
    name: 'LOOP_GET_STATUS64',
    object: numbers.length === 1 ? `/dev/loop${numbers[0]}` : `${numbers.length} loop devices`,
    signal,
    onAbandoned,
    uses: [],
    place: () => undefined,
  });
  return numbers.map((number, index) => {
    const record = records.subarray(index * RECORD_SIZE, (index + 1) * RECORD_SIZE);
    return decodeRecord(number, record);
  });
}

function decodeRecord(number: number, record: Buffer): LoopAnswer {
  const errno = record.readInt32LE(RECORD.error);
  const rdev = record.readBigUInt64LE(RECORD.device);
  if (errno === 0) return { rdev, result: decodeLoopStatus(record.subarray(RECORD.info)) };
  const call = STEPS[record.readUInt32LE(RECORD.step)] ?? 'open';
  return { rdev, result: SystemError.fromErrno(call, `/dev/loop${number}`, errno) };
}
