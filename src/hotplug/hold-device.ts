import type { BlockDevice } from '../block/block-device.js';
import { HOLDS_FOR_BLKBACK } from '../block/holders.js';
import type { OwnedFd } from '../linux/fd.js';
import { SharingError } from '../sharing/sharing-error.js';
import type { VbdDirectory } from '../vbd/vbd-directory.js';
import type { VbdInstance } from '../vbd/vbd-instance.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * The script of the process that holds a device. Descriptor 4 is the pinned directory of the vbd in
 * sysfs. Descriptors 3 and 5 are what is held: the device, or the lock that says that blkback may
 * open the device. The script waits until blkback has opened a device for the vbd, or until the
 * kernel has no such vbd any more.
 */
const HOLD = `
while [ "$1" -ef /proc/self/fd/4 ] && [ ! -e /proc/self/fd/4/physical_device ]; do
  sleep 0.2 3<&- 4<&- 5<&-
done`;

/**
 * Leaves a process behind that holds a device for a blkback that may still open it. The process
 * ends when blkback has opened the device, or never can. Without it, what was made for the vbd, a
 * loop device or a layer, would go with the last descriptor of this process, and blkback would open
 * whatever device has its number by then. Returns a function that ends the process before that.
 * Never throws: returns `undefined` if no process can be started. The outcome is then as if this
 * process had been killed.
 *
 * @param mark the lock that keeps others from the device during this time (`markPendingOpen`).
 */
export function holdDevice(
  { fd, path }: BlockDevice,
  { vbd, directory }: VbdInstance,
  mark: OwnedFd | undefined,
): (() => void) | undefined {
  return hold({ what: path, vbd, directory }, fd, mark);
}

/**
 * Does the same for a device that is not open here: only its lock is held. Returns whether a process
 * could be started for that.
 */
export function holdMark(
  mark: OwnedFd,
  of: { readonly what: string; readonly vbd: VbdPath; readonly directory: VbdDirectory },
): boolean {
  return hold(of, mark, undefined) !== undefined;
}

/** Returns the error for a process that holds `what` and cannot be started. */
export function nobodyHolds(what: string): SharingError {
  return new SharingError(
    `the lock that says that blkback may still open ${what} cannot be passed on, as no process can be started`,
    { code: 'ELOCK' },
  );
}

function hold(
  { what, vbd, directory }: Parameters<typeof holdMark>[1],
  first: OwnedFd,
  second: OwnedFd | undefined,
): (() => void) | undefined {
  // The purpose of the process, as people see it in a list of processes.
  const name = `${HOLDS_FOR_BLKBACK} ${what} for ${vbd.sysfsName} until blkback has opened it`;
  // Loaded here, because an add that succeeds needs no children.
  const { spawn } = process.getBuiltinModule('node:child_process');
  const held = [first.fd, directory.fd, ...(second ? [second.fd] : [])];
  try {
    const child = spawn('/bin/sh', ['-c', HOLD, name, directory.path], {
      stdio: ['ignore', 'ignore', 'ignore', ...held],
      // The child must survive a signal that ends this process and its group.
      detached: true,
      cwd: '/',
    });
    child.on('error', () => undefined);
    child.unref();
    return child.pid === undefined ? undefined : () => void child.kill('SIGKILL');
  } catch {
    // Node.js throws some errors of fork(2), such as ENOMEM, and reports others by an event.
    return undefined;
  }
}
