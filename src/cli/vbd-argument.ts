import { HotplugError } from '../hotplug/hotplug-error.js';
import { otherDiskError } from '../hotplug/other-disk.js';
import { quote } from '../util/one-line.js';
import type { GuestDisk } from '../vbd/find-vbd.js';
import { parseOtherPath, parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';

/**
 * Returns the vbd that a command is about. The argument is a backend path, or just
 * `<domid>/<devid>` of a vbd of this domain's backends. Without an argument, libxl names the vbd in
 * the environment (`XENBUS_PATH`, which `XENBUS_TYPE` and `XENBUS_BASE_PATH` must match if they are
 * set). Throws `EVBD`.
 */
export function resolveVbd(argument: string | undefined, environment: NodeJS.ProcessEnv): VbdPath {
  const short = /^\d+\/\d+$/.test(argument ?? '');
  const path = short ? `backend/vbd/${argument}` : (argument ?? environment.XENBUS_PATH);
  if (path === undefined || path === '') {
    throw vbdError('no vbd is named: give its backend path, or set XENBUS_PATH as libxl does');
  }
  const vbd = parseVbdPath(path);
  if (parseOtherPath(path) !== undefined) throw otherDiskError(path);
  if (vbd === undefined) {
    throw vbdError(
      `${quote(path)} is no backend path of a vbd: backend/vbd/<domid>/<devid> is needed, the same below /local/domain/<domid>/, or in short 7/51712, 7/xvda or 7`,
    );
  }
  if (argument === undefined) checkCompanions(environment);
  return vbd;
}

/**
 * Returns the disk that libxl asks for, if QEMU or tapdisk serves the disk. Such a disk is refused,
 * and the caller reports the refusal where the toolstack looks.
 */
export function otherDisk({ XENBUS_PATH: path = '' }: NodeJS.ProcessEnv): VbdPath | undefined {
  return parseOtherPath(path);
}

/**
 * Parses the name that people use for a guest's disk: `7/xvda`, or `7` for the only disk of guest
 * 7. Returns `undefined` for anything else, such as a path.
 */
export function parseGuestDisk(argument: string | undefined): GuestDisk | undefined {
  const [, domid, vdev] = /^(0|[1-9]\d{0,4})(?:\/([a-z]+\d*))?$/.exec(argument ?? '') ?? [];
  return domid === undefined ? undefined : { domid: Number(domid), vdev };
}

function checkCompanions(environment: NodeJS.ProcessEnv): void {
  const type = environment.XENBUS_TYPE;
  if (type !== undefined && type !== 'vbd') {
    throw vbdError(`XENBUS_TYPE is ${quote(type)}: this is for vbd only`);
  }
  const base = environment.XENBUS_BASE_PATH;
  if (base !== undefined && base !== 'backend' && !base.endsWith('/backend')) {
    throw vbdError(`XENBUS_BASE_PATH is ${quote(base)}: backend is needed`);
  }
}

function vbdError(message: string): HotplugError {
  return new HotplugError(message, { code: 'EVBD' });
}
