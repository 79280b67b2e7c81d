import { statusOf } from './exit-status.js';
import { complain, print } from './output.js';
import type { ParsedWords } from './parse-words.js';
import { describeOldFile, readConfigFiles, type SourcedText } from './read-config.js';
import { printFailure, printJson } from './result.js';
import { listSettings, loadDaemonSettings, loadSettings } from './setting-sources.js';
import { alignColumns } from './vbd-text.js';

/**
 * Runs `config`: prints each setting, its value, and the source of the value. Returns the exit
 * status. If the settings are invalid, prints every mistake in the file, or the first mistake in
 * the environment, on stderr.
 */
export function runConfig(options: ParsedWords['options']): number {
  const invocation = { json: options.json !== undefined };
  const { env } = process;
  const files = readConfigFiles(env);
  try {
    loadSettings(env, {}, files);
    loadDaemonSettings(env, {}, files);
  } catch (error) {
    const [first = error, ...others] = files.errors;
    printFailure(invocation, first);
    for (const other of others) printFailure({}, other);
    return statusOf(first);
  }
  const settings = listSettings(env, files);
  const notice = describeOldFile(files);
  if (notice !== undefined) complain(`xen-blkback: ${notice}\n`);
  if (invocation.json) {
    const rows = settings.map(({ name, ...setting }) => [name, describe(setting)]);
    printJson({ file: files.file, settings: Object.fromEntries(rows) });
  } else if (options.check === undefined) {
    const rows = settings.map(({ name, text, source, place }) => [name, text, place ?? source]);
    print(`${alignColumns([['SETTING', 'VALUE', 'FROM'], ...rows])}\n`);
  }
  return 0;
}

function describe({ text, source, place }: SourcedText): Record<string, unknown> {
  return { value: text, source, place: place ?? null };
}
