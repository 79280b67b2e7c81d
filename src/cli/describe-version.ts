import { PROTOCOL_VERSION } from '../daemon/protocol.js';
import { KERNEL_VERSION } from '../linux/kernel-version.js';
import { JSON_VERSION } from './result.js';
import { readVersion } from './version.js';

/** The commit of this build, inserted by .ci/build. It is empty if the build had no checkout. */
declare const __COMMIT__: string | undefined;

/** Returns the text that `--version` prints. */
export function describeVersion(): string {
  const commit = typeof __COMMIT__ === 'undefined' ? '' : __COMMIT__;
  return `xen-blkback ${readVersion()}${commit === '' ? '' : ` (${commit})`}
socket protocol ${PROTOCOL_VERSION}, JSON ${JSON_VERSION}, Linux ${KERNEL_VERSION}
`;
}
