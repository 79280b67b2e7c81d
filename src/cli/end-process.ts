import { errorCode, errorMessage } from '../errors.js';

/** Why what was written has not arrived. Without a listener it would end the process with a stack trace. */
let failure: unknown;
process.stdout.on('error', (error) => {
  failure ??= error;
});
// Nobody is left who could be told.
process.stderr.on('error', () => undefined);

/**
 * Ends the process with a status, once what it has written has been taken: a pipe takes 64 KiB at a time.
 * Output that could not be written makes a failure of a success, unless its reader has had enough of it
 * (EPIPE). Whatever else is under way, such as a call that hangs, is not waited for.
 */
export async function endProcess(status: number): Promise<never> {
  await drain(process.stdout);
  const isLost = failure !== undefined && errorCode(failure) !== 'EPIPE';
  if (isLost) {
    process.stderr.write(`xen-blkback: the output cannot be written: ${errorMessage(failure)}\n`);
  }
  await drain(process.stderr);
  process.exit(isLost && status === 0 ? 1 : status);
}

async function drain(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise<void>((resolve) => stream.write('', () => resolve()));
}
