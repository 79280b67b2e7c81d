import { quote } from '../util/one-line.js';
import { HotplugError } from './hotplug-error.js';

/** Returns the error for a disk that QEMU or tapdisk serves instead of blkback. */
export function otherDiskError(path: string): HotplugError {
  const server = path.includes('/qdisk/') ? 'QEMU' : 'tapdisk';
  return new HotplugError(
    `${quote(path)} is a disk that ${server} serves: this script is for those of blkback (backendtype=phy)`,
    { code: 'EVBD' },
  );
}
