export { BlockError, isBlockError } from './block/block-error.js';
export { BlkbackError, type ErrorDetails } from './errors.js';
export {
  type AttachOptions,
  type AttachResult,
  type AttachStep,
  attach,
} from './hotplug/attach.js';
export { type CheckOptions, checkSharing, type SharingVerdict } from './hotplug/check-target.js';
export { DEFAULT_OPTIONS } from './hotplug/default-options.js';
export { type DetachOptions, type DetachStep, detach } from './hotplug/detach.js';
export { HotplugError } from './hotplug/hotplug-error.js';
export { type ResizeOptions, type ResizeResult, resize } from './hotplug/resize.js';
export { isSystemError, SystemError } from './linux/errno.js';
export type { Sharing } from './sharing/matrix.js';
export type { SameVmRule } from './sharing/same-vm.js';
export { parseTarget, type Target } from './target/target.js';
export type { OpenedBy } from './vbd/opened.js';
export type { Publication, Uapi } from './vbd/publish.js';
export { parseVbdPath, type VbdPath } from './vbd/vbd-path.js';
export { type OpenOptions, openXenstore } from './xenstore/open.js';
export { waitFor } from './xenstore/wait-for.js';
export type * from './xenstore/xenstore.js';
export { isXenstoreError, XenstoreError } from './xenstore/xenstore-error.js';
