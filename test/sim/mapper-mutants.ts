import type { Mutant } from './bundle.js';

// Small changes that only schedules with device-mapper can find.

const CHANGES: readonly Omit<Mutant, 'needs'>[] = [
  {
    name: 'a mapper device is not compared with the name that was asked for',
    file: 'block/check-device.ts',
    find: 'if (expected !== undefined && !isOwnLink(locator, mapper)) checkName(mapper, expected);',
    replace: 'void [isOwnLink, checkName];',
  },
  {
    name: 'an open mapper device that nobody explains is nobody',
    file: 'sharing/find-conflicts.ts',
    find: '  if (opener !== undefined) yield opener;\n',
    replace: '  void opener;\n',
  },
  {
    name: 'an open mapper device over the bytes that nobody explains is nobody',
    file: 'topology/holder-uses.ts',
    find: 'if (opener !== undefined) yield opener;\n    else if',
    replace: 'if (opener === undefined)\n    if',
  },
  {
    name: 'a remove does not wait until a mapper device is closed',
    file: 'hotplug/detach-steps.ts',
    find: '  await awaitMapperClosed(published, new OpenVbds(sysfs), signal);\n',
    replace: '  void awaitMapperClosed;\n',
  },
  {
    name: 'a device is not looked at again after blkback has opened it',
    file: 'hotplug/published-steps.ts',
    find: '      await device.verify(signal);\n      requireMode(attachment);\n',
    replace: '      requireMode(attachment);\n',
  },
  {
    name: 'the tables of a mapper device are not compared',
    file: 'block/identity.ts',
    find: '    ...tableRows(expected.mapper, found.mapper),\n',
    replace: '    ...(expected.mapper ? [] : tableRows(expected.mapper, found.mapper)),\n',
  },
  // The faults that the simulator has found, as they were.
  {
    name: 'a layer gets a number that a vbd names',
    file: 'block/mapper/layer.ts',
    find: 'const named = (await findNamed?.([devnum])) ?? [];',
    replace: 'const named: readonly Devnum[] = findNamed ? [] : [];',
  },
  {
    name: 'nobody says that blkback may still open a layer over a file',
    file: 'hotplug/announce-open.ts',
    find: 'if (device.ownLoop && !isSecond) return',
    replace: 'if (device.bottom.ownLoop && !isSecond) return',
  },
  {
    name: 'a loop device counts as new if there are more devices than before',
    file: 'block/loop/free-loop.ts',
    find: '  const before = new Set(listLoops());\n  const first = await getFreeLoop(control, { signal });\n  const isMade = !before.has(first);\n',
    replace:
      "  const count = (): number => require('node:fs').readdirSync('/sys/block').length;\n  const before = count();\n  const first = await getFreeLoop(control, { signal });\n  const isMade = count() > before;\n",
  },
];

export const MAPPER_MUTANTS: readonly Mutant[] = CHANGES.map((change) => ({
  ...change,
  needs: 'device-mapper',
}));
