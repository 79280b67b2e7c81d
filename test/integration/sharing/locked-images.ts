import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { projectRoot } from '../../bed/paths.js';

/**
 * The bytes that QEMU locks: one for each thing that it may do, and for each that others may not
 * (file-posix.c).
 */
export const QEMU = { w: [100, 101, 103, 201, 203], r: [100, 201, 203] } as const;

/** Starts a program that has an image or device open and locks these bytes of it. */
export async function openImage(
  path: string,
  bytes: readonly number[],
  exclusive = false,
  ...args: string[]
): Promise<AsyncDisposable> {
  const program = `
    import { OwnedFd } from './dist/src/linux/fd.js';
    import { tryLockByte } from './dist/src/linux/range-lock.js';
    const image = OwnedFd.openSync('${path}', 2);
    for (const byte of [${bytes}]) tryLockByte(image, BigInt(byte), ${exclusive});
    console.log('locked');
    setInterval(() => image.fd, 1000);`;
  const options = ['--input-type=module', '--eval', program, '--', ...args];
  const child: ChildProcess = spawn(process.execPath, options, {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const failed = closed.then(() => Promise.reject(new Error(`${path} could not be locked`)));
  if (child.stdout) await Promise.race([once(child.stdout, 'data'), failed]);
  // The program is killed in the end.
  failed.catch(() => undefined);
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
