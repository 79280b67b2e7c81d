import { quote } from '../util/one-line.js';
import { HotplugError } from './hotplug-error.js';

/** The refusal of a disk that others serve than blkback. */
export function otherDiskError(path: string): HotplugError {
  const server = path.includes('/qdisk/') ? 'QEMU' : 'tapdisk';
  return new HotplugError(
    `${quote(path)} is a disk that ${server} serves: this script is for those of blkback (backendtype=phy)`,
    { code: 'EVBD' },
  );
}
