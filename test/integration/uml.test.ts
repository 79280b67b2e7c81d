import { basename } from 'node:path';
import { defineInnerTests, innerEnvironment, innerFiles } from '../bed/uml/inner-tests.js';
import { outlineOf } from '../bed/uml/outline.js';

/** Names of files that get a machine of their own; all machines run at the same time. */
const ALONE = [/^torture\./];

const groups = new Map<string, string[]>();
for (const file of innerFiles()) {
  const alone = ALONE.find((pattern) => pattern.test(basename(file)));
  const group = alone === undefined ? 'shared' : String(alone);
  groups.set(group, [...(groups.get(group) ?? []), file]);
}

describe('device-mapper', () => {
  const together = new Set<() => void>();
  for (const files of groups.values()) {
    defineInnerTests({ files, env: innerEnvironment() }, outlineOf(files), together);
  }
});
