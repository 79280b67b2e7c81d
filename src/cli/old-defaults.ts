import type { ConfigLine } from './config-file.js';

/**
 * Parses the text of /etc/default/xen-blkback. In earlier versions, systemd read this file as
 * variables of the daemon's environment. Each option in XEN_BLKBACK_OPTIONS becomes the variable
 * with the same meaning. Skips lines that cannot be parsed. Pure.
 */
export function readOldDefaults(text: string, names: readonly string[]): ConfigLine[] {
  return text.split('\n').flatMap((raw, index) => {
    const [, key, rest = ''] = /^[ \t]*([A-Za-z_]\w*)=(.*)$/.exec(raw) ?? [];
    const value = rest.trim().replace(/^(["'])(.*)\1$/, '$2');
    if (key === undefined || value === '') return [];
    const line = index + 1;
    if (key !== 'XEN_BLKBACK_OPTIONS') return [{ key, value, line }];
    return expandOptions(value, names).map((variable) => ({ ...variable, line }));
  });
}

/** Turns `--verbose --timeout 20` into XEN_BLKBACK_VERBOSE=yes and XEN_BLKBACK_TIMEOUT=20. */
function expandOptions(options: string, names: readonly string[]): Omit<ConfigLine, 'line'>[] {
  const found: Omit<ConfigLine, 'line'>[] = [];
  const words = options.split(/\s+/).filter((word) => word !== '');
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const [, name = '', given] =
      /^--([\w-]+)(?:=(.*))?$/.exec(word === '-v' ? '--verbose' : word) ?? [];
    const isSwitch = name === 'verbose' || name === 'all';
    if (!names.includes(name)) found.push({ key: `${word} in XEN_BLKBACK_OPTIONS`, value: '' });
    else if (isSwitch) found.push({ key: variableOf(name), value: 'yes' });
    else found.push({ key: variableOf(name), value: given ?? words[++at] ?? '' });
  }
  return found;
}

function variableOf(name: string): string {
  return `XEN_BLKBACK_${name.toUpperCase().replaceAll('-', '_')}`;
}
