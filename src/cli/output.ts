import { errorCode, errorMessage } from '../errors.js';
import { toLines } from '../util/one-line.js';
import { exitAtOnce } from './exit.js';

// Output on stdout and stderr. A stream that is not used is not even opened, because Node needs
// milliseconds for it.

const used = new Set<NodeJS.WriteStream>();
/**
 * The error with which a write to stdout has failed. Without a listener, such an error would end
 * the process with a stack trace.
 */
let failure: unknown;

/** Writes to stdout. `endProcess` waits for the write. */
export function print(text: string): void {
  const { stdout } = process;
  if (!used.has(stdout)) {
    used.add(stdout);
    stdout.on('error', (error) => {
      failure ??= error;
    });
  }
  stdout.write(text);
}

/** Writes lines for people to stderr. `endProcess` waits for the write. */
export function complain(text: string): void {
  const { stderr } = process;
  if (!used.has(stderr)) {
    used.add(stderr);
    // A failure of stderr cannot be reported anywhere.
    stderr.on('error', () => undefined);
  }
  stderr.write(toLines(text));
}

/**
 * Ends the process with a status, after all output has been written. This may take a while, because
 * a pipe takes 64 KiB at a time. Turns status 0 into 1 if output could not be written, except if
 * the reader has closed the pipe (EPIPE). Does not wait for anything else, such as a call that
 * hangs.
 */
export async function endProcess(status: number): Promise<void> {
  await drain();
  const isLost = failure !== undefined && errorCode(failure) !== 'EPIPE';
  if (isLost) {
    complain(`xen-blkback: the output cannot be written: ${errorMessage(failure)}\n`);
    await drain();
  }
  exitAtOnce(isLost && status === 0 ? 1 : status);
}

async function drain(): Promise<void> {
  for (const stream of used) {
    await new Promise<void>((resolve) => stream.write('', () => resolve()));
  }
}
