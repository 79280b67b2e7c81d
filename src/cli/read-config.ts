import { statSync } from 'node:fs';
import { errorMessage } from '../errors.js';
import { readMemoryFile } from '../linux/memory-file.js';
import { didYouMean } from '../util/did-you-mean.js';
import { quote } from '../util/one-line.js';
import { type ConfigLine, LONGEST_FILE, parseConfig, tooLongError } from './config-file.js';
import { readOldDefaults } from './old-defaults.js';
import { READ_SETTING } from './read-setting.js';
import { DAEMON_SETTINGS, type DaemonSettingName, SETTINGS, type SettingName } from './settings.js';
import { ConfigError } from './usage-error.js';

/** The name of any setting. */
export type AnyName = SettingName | DaemonSettingName;

/** The configuration file of daemon, one-shot program, command and compiled client. */
export const CONFIG_FILE = '/etc/xen/xen-blkback.conf';
/** The file of earlier versions. It counts only for settings that no other source has. */
export const OLD_FILE = '/etc/default/xen-blkback';
/** A variable that names another configuration file. The old file is not read then. */
const CONFIG_VARIABLE = 'XEN_BLKBACK_CONFIG';

/** The number of /dev/null, which people name where they want no configuration file. */
const NULL_DEVICE = 0x103;

/** The tables of all settings. */
export const ALL_SETTINGS = { ...SETTINGS, ...DAEMON_SETTINGS };
export const NAMES = Object.keys(ALL_SETTINGS) as AnyName[];

/** The text of a value, and its source. */
export interface SourcedText {
  readonly text: string;
  readonly source: 'command line' | 'environment' | 'file' | 'old file' | 'built in';
  /** The option, the variable, or the file with the line. */
  readonly place?: string;
}

/** The contents of the files. */
export interface ConfigFiles {
  /** The path of the configuration file, even if there is no file. */
  readonly file: string;
  readonly texts: Partial<Record<AnyName, SourcedText>>;
  /** All mistakes in the configuration file, in the order of its lines. */
  readonly errors: readonly ConfigError[];
  /** The lines of the old file, which a person should move. */
  readonly old: readonly ConfigLine[];
}

/** Reads the files. Each costs five system calls, or one if it does not exist. */
export function readConfigFiles(environment: NodeJS.ProcessEnv): ConfigFiles {
  const named = environment[CONFIG_VARIABLE];
  const file = named || CONFIG_FILE;
  const text = readFile(file);
  if (text instanceof ConfigError) return { file, texts: {}, errors: [text], old: [] };
  if (text === undefined && named) {
    const missing = new ConfigError(`${file}, which ${CONFIG_VARIABLE} names, does not exist`);
    return { file, texts: {}, errors: [missing], old: [] };
  }
  const oldText = named ? undefined : readFile(OLD_FILE);
  return interpretFiles(file, text, typeof oldText === 'string' ? oldText : undefined);
}

function readFile(file: string): string | undefined | ConfigError {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    // An open of a FIFO may hang, and an open of a device may do something.
    if (!stat.isFile() && stat.rdev !== NULL_DEVICE) {
      return new ConfigError(`${file} is no regular file: a configuration file is expected there`);
    }
    if (stat.size > LONGEST_FILE) return tooLongError(file);
    return readMemoryFile(file);
  } catch (error) {
    return new ConfigError(`the configuration file cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** Parses the texts of the two files. Pure. */
export function interpretFiles(
  file: string,
  text: string | undefined,
  oldText: string | undefined,
): ConfigFiles {
  const texts: Partial<Record<AnyName, SourcedText>> = {};
  const old = oldText === undefined ? [] : readOldDefaults(oldText, NAMES);
  for (const { key, value, line } of old) {
    const name = NAMES.find((name) => ALL_SETTINGS[name].env === key);
    const place = `${OLD_FILE} line ${line}`;
    if (name !== undefined) texts[name] = { text: value, source: 'old file', place };
  }
  const { lines, errors: unreadable } = parseConfig(file, text ?? '');
  const errors = [...unreadable];
  const seen = new Map<string, number>();
  for (const { key, value, line } of lines) {
    const place = `${file} line ${line}`;
    const name = NAMES.find((name) => name === key);
    const earlier = seen.get(key);
    seen.set(key, line);
    if (name === undefined) {
      errors.push(
        new ConfigError(`${place}: there is no setting ${quote(key)}${didYouMean(key, NAMES)}`, {
          line,
        }),
      );
    } else if (earlier !== undefined) {
      const message = `${place}: ${key} is set in line ${earlier} already`;
      errors.push(new ConfigError(message, { line }));
    } else {
      texts[name] = { text: value, source: 'file', place };
      const error = readingError(name, texts[name], line);
      if (error !== undefined) errors.push(error);
    }
  }
  return { file, texts, errors: errors.sort((a, b) => a.line - b.line), old };
}

/** Returns an error if a value from a file is invalid. The error names the file and the line. */
export function readingError(
  name: AnyName,
  { text, place }: SourcedText,
  line?: number,
): ConfigError | undefined {
  try {
    READ_SETTING[name](text);
    return undefined;
  } catch (error) {
    return new ConfigError(`${place}: ${errorMessage(error)}`, line === undefined ? {} : { line });
  }
}

/** Returns a sentence about an old file that still sets something, or `undefined`. */
export function describeOldFile({ file, old }: ConfigFiles): string | undefined {
  if (old.length === 0) return undefined;
  const moved: string[] = [];
  const ignored: string[] = [];
  for (const { key, value } of old) {
    const name = NAMES.find((name) => ALL_SETTINGS[name].env === key);
    if (name === undefined) ignored.push(key);
    else moved.push(`${name}=${value}`);
  }
  const parts = [
    ...(moved.length > 0 ? [`write ${moved.join(' and ')} into ${file}`] : []),
    ...(ignored.length > 0 ? [`know that ${ignored.join(' and ')} in it has no effect`] : []),
    'remove it',
  ];
  return `${OLD_FILE} is deprecated: ${parts.join(', then ')}`;
}
