import { errorMessage } from '../errors.js';
import { CHECKS, type Check, type Health } from './doctor-checks.js';
import { ExitStatus } from './exit-status.js';
import { print } from './output.js';
import type { ParsedWords } from './parse-words.js';
import { printJson } from './result.js';
import { SCRIPTS } from './script-names.js';
import { loadDaemonSettings, loadSettings } from './setting-sources.js';
import { alignColumns } from './vbd-text.js';

const RULES = [
  '/etc/udev/rules.d',
  '/run/udev/rules.d',
  '/usr/lib/udev/rules.d',
  '/lib/udev/rules.d',
];
/** The time after which a check that hangs is given up; milliseconds. */
const PATIENCE_MS = 10_000;

/**
 * Runs `doctor`: prints one line for each thing that an attach needs. Returns the exit status,
 * which is 1 if a check has failed.
 */
export async function runDoctor(options: ParsedWords['options']): Promise<number> {
  const place = {
    ...readSettings(),
    scripts: SCRIPTS,
    rules: RULES,
    signal: AbortSignal.timeout(PATIENCE_MS),
  };
  const checks: Check[] = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      checks.push({ name, ...(await check(place)) });
    } catch (error) {
      checks.push({ name, health: 'failed', finding: errorMessage(error) });
    }
  }
  if (options.json !== undefined) printJson({ checks });
  else print(`${alignColumns(checks.map(toRow))}\n`);
  const isWell = checks.every(({ health }) => health !== 'failed');
  return isWell ? ExitStatus.done : ExitStatus.failed;
}

/**
 * Reads the settings. Falls back to the built-in settings if the file or the environment is
 * invalid.
 */
function readSettings() {
  try {
    return { settings: loadSettings(process.env), daemon: loadDaemonSettings(process.env) };
  } catch {
    const nothing = { file: '', texts: {}, errors: [], old: [] };
    return { settings: loadSettings({}, {}, nothing), daemon: loadDaemonSettings({}, {}, nothing) };
  }
}

const WORDS: Readonly<Record<Health, string>> = { ok: 'ok', warning: 'warning', failed: 'FAILED' };

function toRow({ name, health, finding }: Check): string[] {
  return [WORDS[health], name, finding];
}
