import { DEFAULT_RUN_DIRECTORY } from '../vbd/record.js';
import type { AttachOptions } from './attach-options.js';

/**
 * The options of the hotplug script where nothing is set. libxl kills a script after 40 s. A
 * timeout of 30 s leaves time to tell why an attach has failed.
 */
export const DEFAULT_OPTIONS = {
  timeoutMs: 30_000,
  uapi: 'key',
  sysfs: '/sys',
  runDirectory: DEFAULT_RUN_DIRECTORY,
  sharing: 'deny',
  sameVm: 'check',
} as const satisfies AttachOptions;
