import type { Mutant } from './bundle.js';

/** Mutants of what a remove does, and of what it leaves to others. */
export const REMOVE_MUTANTS: readonly Mutant[] = [
  {
    name: 'a remove takes away what has been published since it began',
    file: 'hotplug/remove-nodes.ts',
    find: '  if (!present.every(isSeen)) return;\n',
    replace: '  void isSeen;\n',
  },
  {
    name: 'a remove unbinds nothing',
    file: 'hotplug/detach-steps.ts',
    find: 'await unbindLoop(loop, signal);',
    replace: '',
  },
  {
    name: 'a remove does not wait until the device is closed',
    file: 'hotplug/detach-steps.ts',
    find: 'if (loop !== undefined) await waitLoopUnbound(loop, signal);',
    replace: '',
  },
  {
    name: 'a remove takes back what a vbd names that was made anew',
    file: 'hotplug/withdraw-unanswered.ts',
    find: '    // What another instance of the vbd names is its own, also if it is the same number.\n    { signal, confirm: () => !isMadeAnew(sysfs, vbd.sysfsName, directory) },',
    replace: '    { signal, confirm: () => sysfs !== undefined },',
  },
  {
    name: 'a remove removes the record of a vbd that was made anew',
    file: 'hotplug/detach-steps.ts',
    find: 'if (!isNewer) removeRecord',
    replace: 'if (!isNewer || true) removeRecord',
  },
  {
    name: 'nobody outlives a remove to say what blkback may still open',
    file: 'hotplug/withdraw-unanswered.ts',
    find: 'mark !== undefined && holdMark(mark, { what, vbd, directory });',
    replace: 'mark !== undefined;',
    needs: 'killed removes',
  },
  {
    name: 'a remove that finds a layer does not wait for the device of its target',
    file: 'hotplug/detach-steps.ts',
    find: '  if (layers.some(({ devnum }) => sameDevnum(devnum, published.devnum))) return;\n',
    replace: '  if (layers.length > 0) return;\n',
    needs: 'device-mapper',
  },
  {
    name: 'an opener that comes between a count and a list explains another one',
    file: 'hotplug/await-mapper-closed.ts',
    find: 'opener = (await look()) ?? (await look());',
    replace: 'opener = await look();',
    needs: ['device-mapper', 'udev'],
  },
  {
    name: 'a clean-up takes back what a vbd names that was made anew',
    file: 'hotplug/detach.ts',
    find: '    if (options.onlyIfGone && (exists || detachment.wasMadeAnew)) return;\n',
    replace: '',
  },
  {
    name: 'a vbd whose nodes are gone counts as ended',
    file: 'vbd/ending-vbds.ts',
    find: 'return probed === undefined && !isTakenUp;',
    replace: 'return probed === undefined && !isTakenUp && index < 0;',
  },
];
