// The sources of a setting: the command line, the environment, the configuration file, a file of
// earlier versions, and the built-in value. The first source that has the setting counts.

import {
  ALL_SETTINGS,
  type AnyName,
  type ConfigFiles,
  NAMES,
  readConfigFiles,
  readingError,
  type SourcedText,
} from './read-config.js';
import {
  DAEMON_SETTINGS,
  type DaemonSettings,
  parseDaemonSettings,
  parseSettings,
  SETTINGS,
  type Settings,
} from './settings.js';

/** The settings on the command line. */
export type GivenOptions = Readonly<Partial<Record<AnyName, string | undefined>>>;

/**
 * Returns the value in force and its source. An empty variable counts as not set, as it does for
 * the shell scripts of Xen.
 */
export function sourceOf(
  name: AnyName,
  given: GivenOptions,
  environment: NodeJS.ProcessEnv,
  files: Pick<ConfigFiles, 'texts'>,
): SourcedText {
  const { env, fallback } = ALL_SETTINGS[name];
  const option = given[name];
  if (option !== undefined) return { text: option, source: 'command line', place: `--${name}` };
  const variable = environment[env];
  if (variable) return { text: variable, source: 'environment', place: env };
  return files.texts[name] ?? { text: fallback, source: 'built in' };
}

/**
 * Returns the settings in force. Throws `UsageError` for an invalid option or variable. Throws
 * `ConfigError` for an invalid file, even if its value is overridden: its author wants to know.
 */
export function loadSettings(
  environment: NodeJS.ProcessEnv,
  given: GivenOptions = {},
  files: ConfigFiles = readConfigFiles(environment),
): Settings {
  return parseSettings(textsOf(SETTINGS, environment, given, files));
}

/** Returns the settings of the daemon that are in force. Throws the same errors. */
export function loadDaemonSettings(
  environment: NodeJS.ProcessEnv,
  given: GivenOptions = {},
  files: ConfigFiles = readConfigFiles(environment),
): DaemonSettings {
  return parseDaemonSettings(textsOf(DAEMON_SETTINGS, environment, given, files));
}

function textsOf<Name extends AnyName>(
  table: Readonly<Record<Name, unknown>>,
  environment: NodeJS.ProcessEnv,
  given: GivenOptions,
  files: ConfigFiles,
): Record<Name, string> {
  const [error] = files.errors;
  if (error !== undefined) throw error;
  const entries = (Object.keys(table) as Name[]).map((name) => {
    const sourced = sourceOf(name, given, environment, files);
    const wrong = sourced.source === 'old file' ? readingError(name, sourced) : undefined;
    if (wrong !== undefined) throw wrong;
    return [name, sourced.text];
  });
  return Object.fromEntries(entries) as Record<Name, string>;
}

/** Returns every setting with the text in force, without checking it. */
export function listSettings(
  environment: NodeJS.ProcessEnv,
  files: ConfigFiles,
): (SourcedText & { readonly name: AnyName })[] {
  return NAMES.map((name) => ({ name, ...sourceOf(name, {}, environment, files) }));
}
