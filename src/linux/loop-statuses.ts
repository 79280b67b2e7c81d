import { blockingCall } from './blocking.js';
import { SystemError } from './errno.js';
import { decodeLoopStatus, type LoopStatus } from './loop-ioctl.js';

/** What a loop device has answered. */
export interface LoopAnswer {
  /** Number of the device node that was opened, as stat(2) has it; 0 where none was. */
  readonly rdev: bigint;
  readonly result: LoopStatus | SystemError;
}

export interface LoopStatusesOptions {
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined;
  /** Told then; the promise resolves when the call has come back all the same. */
  readonly gaveUp?: ((cameBack: Promise<void>) => void) | undefined;
}

// struct LoopRecord of native/loop_statuses.cc.
const RECORD_SIZE = 256;
const RECORD = { number: 0, error: 4, step: 8, device: 16, info: 24 };
const STEPS = ['open', 'fstat', 'LOOP_GET_STATUS64'];

/**
 * Opens loop devices and asks each for its status, one after another, in one trip to another thread. Of
 * one that does not answer, nor do the others. `numbers` are those of /dev/loopN. Throws as
 * `blockingCall` does.
 */
export async function readLoopStatuses(
  numbers: readonly number[],
  { signal, gaveUp }: LoopStatusesOptions = {},
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
    gaveUp,
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
