import { errorCode, errorMessage } from '../errors.js';
import { exitAtOnce } from './exit.js';

// The streams of a process that has nothing to say are not even opened: Node takes milliseconds for them.

const used = new Set<NodeJS.WriteStream>();
/** Why what was printed has not arrived. Without a listener it would end the process with a stack trace. */
let failure: unknown;

/** Writes to stdout, as `endProcess` expects it. */
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

/** Writes to stderr, as `endProcess` expects it. */
export function complain(text: string): void {
  const { stderr } = process;
  if (!used.has(stderr)) {
    used.add(stderr);
    // Nobody is left who could be told.
    stderr.on('error', () => undefined);
  }
  stderr.write(text);
}

/**
 * Ends the process with a status, once what it has written has been taken: a pipe takes 64 KiB at a time.
 * Output that could not be written makes a failure of a success, unless its reader has had enough of it
 * (EPIPE). Whatever else is under way, such as a call that hangs, is not waited for.
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
