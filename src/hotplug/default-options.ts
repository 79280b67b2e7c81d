import { DEFAULT_RUN_DIRECTORY } from '../vbd/record.js';
import type { AttachOptions } from './attach-options.js';

/**
 * What the hotplug script goes by where nothing is set. libxl kills a script after 40 s, so that 30 leave
 * time to tell why an attach has failed.
 */
export const DEFAULT_OPTIONS = {
  timeoutMs: 30_000,
  uapi: 'key',
  sysfs: '/sys',
  runDirectory: DEFAULT_RUN_DIRECTORY,
  sharing: 'deny',
  sameVm: 'check',
} as const satisfies AttachOptions;
