import { SAME_VM_RULES, type SameVmRule } from '../sharing/same-vm.js';
import { SHARINGS, type Sharing } from '../sharing/sharing-rules.js';
import type { Uapi } from '../vbd/publish-device.js';
import type { DaemonSettingName, SettingName } from './settings.js';
import { UsageError } from './usage-error.js';

/** The parsers of all settings. Each throws a `UsageError` that names the setting and its value. */
export const READ_SETTING = {
  timeout: parseTimeout,
  uapi: parseUapi,
  sharing: parseSharing,
  'same-vm': parseSameVm,
  'udev-refresh': (text: string) => parseYesNo('udev-refresh', text),
  sysfs: (text: string) => parsePath('sysfs', text),
  'run-dir': (text: string) => parsePath('run-dir', text),
  log: (text: string) => parsePath('log', text),
  socket: parseSocket,
  scripts: parseScripts,
  all: (text: string) => parseYesNo('all', text),
  verbose: (text: string) => parseYesNo('verbose', text),
  output: (text: string) => (text === 'stderr' ? undefined : parsePath('output', text)),
} satisfies Record<SettingName | DaemonSettingName, (text: string) => unknown>;

function parseTimeout(text: string): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds >= 0.1 && seconds <= 86_400) return Math.round(seconds * 1000);
  throw new UsageError(`timeout ${JSON.stringify(text)}: seconds from 0.1 to 86400 are needed`);
}

function parseUapi(text: string): Uapi {
  if (text === 'key' || text === 'inline') return text;
  throw new UsageError(`uapi ${JSON.stringify(text)}: key or inline is needed`);
}

function parseSharing(text: string): Sharing {
  const sharing = SHARINGS.find((word) => word === text);
  if (sharing !== undefined) return sharing;
  throw new UsageError(`sharing ${JSON.stringify(text)}: one of ${SHARINGS.join(', ')} is needed`);
}

function parseSameVm(text: string): SameVmRule {
  const rule = SAME_VM_RULES.find((word) => word === text);
  if (rule !== undefined) return rule;
  throw new UsageError(`same-vm ${JSON.stringify(text)}: ${SAME_VM_RULES.join(' or ')} is needed`);
}

function parseYesNo(name: string, text: string): boolean {
  if (text === 'yes' || text === 'no') return text === 'yes';
  throw new UsageError(`${name} ${JSON.stringify(text)}: yes or no is needed`);
}

/** The size of sun_path of unix(7) without the final NUL; bytes. */
const LONGEST_SOCKET = 107;

function parseSocket(text: string): string {
  const path = parsePath('socket', text);
  if (Buffer.byteLength(path) <= LONGEST_SOCKET) return path;
  throw new UsageError(
    `socket ${JSON.stringify(text)}: at most ${LONGEST_SOCKET} bytes are possible for a socket`,
  );
}

function parseScripts(text: string): string[] {
  const names = text.split(',');
  if (names.every((name) => /^[^\s/]+$/.test(name))) return names;
  throw new UsageError(
    `scripts ${JSON.stringify(text)}: names of files with commas between are needed, without directories`,
  );
}

function parsePath(name: string, text: string): string {
  if (text.startsWith('/') && !text.includes('\0')) return text;
  throw new UsageError(`${name} ${JSON.stringify(text)}: an absolute path is needed`);
}
