export { BlockError, isBlockError } from './block/block-error.js';
export type { DirectIo } from './block/loop/loop-device.js';
export { DaemonError } from './daemon/daemon-error.js';
export type { FeedEvent, VbdEvent } from './daemon/vbd-event.js';
export { BlkbackError, type ErrorDetails } from './errors.js';
export type { AttachResult, AttachStep, StepDevice } from './hotplug/attach.js';
export type { DetachStep } from './hotplug/detach.js';
export { HotplugError } from './hotplug/hotplug-error.js';
export type { ResizeResult } from './hotplug/resize.js';
export { ArgumentError } from './library/argument-error.js';
export {
  type AttachOptions,
  attach,
  type DetachOptions,
  detach,
  type ResizeOptions,
  resize,
  type VbdOptions,
} from './library/attach.js';
export { DEFAULT_OPTIONS, DEFAULT_SOCKET } from './library/defaults.js';
export { isBlkbackError } from './library/errors.js';
export { type FollowOptions, followEvents } from './library/events.js';
export { openXenstore } from './library/open.js';
export { type ServeOptions, serve } from './library/serve.js';
export {
  type CheckResult,
  check,
  type Inspection,
  inspect,
  parseTarget,
  type TargetConflict,
  type TargetOptions,
} from './library/targets.js';
export {
  type AttachPlan,
  type ListOptions,
  type LookOptions,
  list,
  plan,
  show,
  type WaitOptions,
  waitClosed,
  waitOpened,
} from './library/vbds.js';
export { type Devnum, formatDevnum } from './linux/devnum.js';
export { isSystemError, SystemError } from './linux/errno.js';
export type { MapperState, MapperTarget } from './linux/mapper-state.js';
export type { SameVmRule } from './sharing/same-vm.js';
export type { Sharing } from './sharing/sharing-rules.js';
export type { Locator, Target } from './target/target.js';
export type { Access } from './topology/local-use.js';
export type { DeviceStack } from './topology/stack.js';
export type { OpenedBy } from './vbd/await-device-opened.js';
export type { Publication, Uapi } from './vbd/publish-device.js';
export type { Opened, VbdSummary } from './vbd/summarize-vbd.js';
export { VbdError } from './vbd/vbd-error.js';
export { parseVbdPath, type VbdPath } from './vbd/vbd-path.js';
export type { ClientOptions } from './xenstore/client.js';
export type { OpenOptions } from './xenstore/open.js';
export { waitFor } from './xenstore/wait-for.js';
export type * from './xenstore/xenstore.js';
export { isXenstoreError, XenstoreError } from './xenstore/xenstore-error.js';
