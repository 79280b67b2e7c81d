import type { Mutant } from './bundle.js';

<<<<<<< HEAD
/** A mutant, and the first schedule, from 1 on, that finds it. 0: none of some hundred finds it. */
=======
/** A mutant, and the first schedule, counted from 1, that finds it; 0 where none of the first sixty has. */
>>>>>>> proof2
export interface KnownMutant extends Mutant {
  readonly seed: number;
}

/** Small changes that make the program wrong. The simulator must find each one of them. */
export const MUTANTS: readonly KnownMutant[] = [
  {
    name: 'nobody looks who else has the bytes',
    file: 'sharing/claim.ts',
    find: 'const conflict = await firstConflict(findConflicts(wanted, seen, context));',
    replace: 'const conflict = undefined as Awaited<ReturnType<typeof firstConflict>>;',
    seed: 3,
  },
  {
    name: 'no lock is taken',
    file: 'sharing/base-locks.ts',
    find: 'await poll(signal, async () => tryLockByte(file, position, exclusive) || undefined);',
    replace: '',
    seed: 16,
  },
  {
    name: 'those who write share their lock',
    file: 'sharing/claim.ts',
    find: 'return locksOf(extents, this.#exclusive);',
    replace: 'return locksOf(extents, false);',
    seed: 16,
  },
  {
    name: 'the lock is let go before the publication',
    file: 'hotplug/attach-steps.ts',
    find: '      await device.verify(signal);\n      requireClosed(instance);',
    replace:
      '      await claim[Symbol.asyncDispose]();\n      await device.verify(signal);\n      requireClosed(instance);',
    seed: 0,
  },
  {
    name: 'a file counts as alone whoever has it open',
    file: 'sharing/export-use.ts',
    find: 'file !== undefined && hasToItself(file, access)',
    replace: '(file !== undefined || hasToItself(device.fd, access))',
    seed: 3,
  },
  {
    name: 'two who write may share',
    file: 'sharing/matrix.ts',
    find: "writers <= (sharing === 'read-only' ? 1 : 0)",
    replace: 'writers <= 1',
    seed: 1,
  },
  {
    name: 'what the kernel has open does not count',
    file: 'vbd/vbd-uses.ts',
    find: 'const uses: VbdUse[] = [...known.values()];',
    replace: 'const uses: VbdUse[] = [];',
    seed: 1,
  },
  {
    name: 'what is published does not count',
    file: 'vbd/vbd-uses.ts',
    find: 'if (device === undefined) continue;',
    replace: 'if (device !== undefined || true) continue;',
    seed: 0,
  },
  {
    name: 'a loop device that nobody explains is nobody',
    file: 'sharing/conflicts.ts',
    find: 'yield* await findUnexplainedLoops(map, query);',
    replace: '',
    seed: 157,
  },
  {
    name: 'the device is let go before blkback has opened it',
    file: 'hotplug/see-through-steps.ts',
    find: '    awaitBlkback(attachment),\n',
    replace: '',
    seed: 1,
  },
  {
    name: 'the roll-back erases the publication whatever has come of it',
    file: 'hotplug/take-back.ts',
    find: "if (fate === 'never') {",
    replace: "if (fate !== ('' as string)) {",
    seed: 8,
  },
  {
    name: 'a publication that is not answered counts as never opened',
    file: 'hotplug/publication-fate.ts',
    find: "if (!ending) return 'pending';",
    replace: "if (!ending) return 'never';",
    seed: 8,
  },
  {
    name: 'nobody holds the device for a blkback that may open it yet',
    file: 'hotplug/take-back.ts',
    find: "if (fate === 'pending') holdDevice(device, instance, mark);",
    replace: '',
    seed: 103,
  },
  {
    name: 'what blkback may still open does not count',
    file: 'sharing/conflicts.ts',
    find: '  yield* await findPendingUses(map, unexplained, query);\n',
    replace: '  void unexplained;\n',
    seed: 319,
  },
  {
    name: 'time is never up',
    file: 'hotplug/deadline.ts',
    find: 'this.#timer = setTimeout(expire, timeoutMs - reserve);',
    replace: 'this.#timer = setTimeout(expire, 1e9);',
    seed: 1,
  },
  {
    name: 'a loop device does not clear itself',
    file: 'block/loop/loop-device.ts',
    find: 'LO_FLAGS_AUTOCLEAR |\n',
    replace: '',
    seed: 1,
  },
  {
    name: 'a number that a vbd names is bound again',
    file: 'block/loop/free-loop.ts',
    find: '!(await avoid?.())?.has(number)',
    replace: '(await avoid?.()) !== null',
    seed: 0,
  },
  {
    name: 'a failure is reported below a backend that is gone',
    file: 'hotplug/report.ts',
    find: "      { op: 'exists', path: vbd.backend },\n",
    replace: '',
    seed: 3,
  },
  {
    name: 'a vbd that was made anew is not told from the one before',
    file: 'vbd/publish.ts',
    find: 'if (!directory.isCurrent()) return false;',
    replace: '',
    seed: 0,
  },
  {
    name: 'a second publication overwrites the first one',
    file: 'vbd/publish.ts',
    find: "    { op: 'expect', path: backendNode(vbd, 'physical-device'), value: undefined },\n",
    replace: '',
    seed: 18,
  },
  {
    name: 'what is to be undone is not recorded',
    file: 'hotplug/record-undoing.ts',
    find: "if (!isNeeded()) return '';",
    replace: "if (!isNeeded() || true) return '';",
    seed: 6,
  },
  {
    name: 'the slower of two adds removes the record of the other one',
    file: 'vbd/record.ts',
    find: 'if (readRecordLeniently(directory, vbd)?.diskseq !== record.diskseq) return;\n    if (before === undefined) removeRecord(directory, vbd);\n    else writeRecord(directory, vbd, before);',
    replace: 'removeRecord(directory, vbd);\n    void before;',
    seed: 0,
  },
  {
    name: 'the record of a vbd that was there before is overwritten',
    file: 'hotplug/record-undoing.ts',
    find: '      await unbindPredecessor(options.runDirectory, vbd, diskseq, attachment.signal);\n',
    replace: '',
    seed: 33,
  },
  {
    name: 'a remove takes away what has been published since it began',
    file: 'hotplug/detach-steps.ts',
    find: '  if (!present.every(isSeen)) return;\n',
    replace: '  void isSeen;\n',
    seed: 0,
  },
  {
    name: 'a remove unbinds nothing',
    file: 'hotplug/detach-steps.ts',
    find: 'await unbindLoop(loop, signal);',
    replace: '',
    seed: 6,
  },
  {
    name: 'a remove does not wait until the device is closed',
    file: 'hotplug/detach-steps.ts',
    find: 'if (loop !== undefined) await waitLoopUnbound(loop, signal);',
    replace: '',
    seed: 22,
  },
  {
    name: 'what is open is stale when its sequence number has risen',
    file: 'sharing/guest-uses.ts',
    find: '  if (!open) {\n    // Either',
    replace:
      '  if (use.diskseq !== undefined && use.diskseq !== map.diskseq(devnum)) return undefined;\n  if (!open) {\n    // Either',
    seed: 0,
  },
  {
    name: 'opened is believed whatever it answers',
    file: 'vbd/opened.ts',
    find: "        if (open !== undefined) return judge(vbd, open, devnum, 'key');\n",
    replace: "        return open === undefined ? 'key' : judge(vbd, open, devnum, 'key');\n",
    seed: 0,
  },
  // The faults that the simulator has found, as they were.
  {
    name: 'what is published counts as stale although its device is held',
    file: 'sharing/conflicts.ts',
    find: '(isPending(pending, use) ? { ...use, diskseq: undefined } : use)',
    replace: '(isPending(pending, use) ? use : use)',
    seed: 611,
  },
  {
    name: 'a remove takes back what a vbd names that was made anew',
    file: 'hotplug/detach-steps.ts',
    find: '    // What another instance of the vbd names is its own, also if it is the same number.\n    { signal, confirm: () => !isMadeAnew(sysfs, vbd.sysfsName, directory) },',
    replace: '    { signal, confirm: () => sysfs !== undefined },',
    seed: 0,
  },
  {
    name: 'a remove removes the record of a vbd that was made anew',
    file: 'hotplug/detach-steps.ts',
    find: 'if (!isNewer) removeRecord',
    replace: 'if (!isNewer || true) removeRecord',
    seed: 0,
  },
  {
    name: 'an add that fails forgets a loop device that another add has adopted',
    file: 'hotplug/record-undoing.ts',
    find: '      if (attachment.isStillNamed) return;\n',
    replace: '',
    seed: 897,
  },
  {
    name: 'a remove does not say what blkback may still open',
    file: 'hotplug/detach-steps.ts',
    find: 'const marking = loop ? undefined : ',
    replace: 'const marking = loop || !loop ? undefined : ',
    seed: 6490,
  },
  {
    name: 'an adopted device gets no record',
    file: 'hotplug/adopt-steps.ts',
    find: '    recordUndoing(attachment),\n    announceOpen',
    replace: '    announceOpen',
    seed: 5620,
  },
];
