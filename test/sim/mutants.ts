import type { Mutant } from './bundle.js';

/** A mutant, and the first schedule, counted from 1, that finds it. */
export interface KnownMutant extends Mutant {
  readonly seed: number;
}

/** Small patches that make the program wrong; the simulator has to find each of them. */
export const MUTANTS: readonly KnownMutant[] = [
  {
    name: 'nobody looks who else has the bytes',
    file: 'sharing/claim.ts',
    find: 'const conflict = await firstConflict(findConflicts(wanted, seen, context));',
    replace: 'const conflict = undefined as Awaited<ReturnType<typeof firstConflict>>;',
    seed: 1,
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
    seed: 37,
  },
  {
    name: 'a file counts as alone whoever has it open',
    file: 'sharing/export-use.ts',
    find: 'file !== undefined && hasToItself(file, access)',
    replace: '(file !== undefined || hasToItself(device.fd, access))',
    seed: 8,
  },
  {
    name: 'two who write may share',
    file: 'sharing/matrix.ts',
    find: "writers <= (sharing === 'read-only' ? 1 : 0)",
    replace: 'writers <= 1',
    seed: 4,
  },
  {
    name: 'what the kernel has open does not count',
    file: 'vbd/vbd-uses.ts',
    find: 'const uses: VbdUse[] = [...known.values()];',
    replace: 'const uses: VbdUse[] = [];',
    seed: 2,
  },
  {
    name: 'what is published does not count',
    file: 'vbd/vbd-uses.ts',
    find: 'if (device === undefined) continue;',
    replace: 'if (device !== undefined || true) continue;',
    seed: 15,
  },
  {
    name: 'a loop device that nobody explains is nobody',
    file: 'sharing/conflicts.ts',
    find: 'yield* await findUnexplainedLoops(map, query);',
    replace: '',
    seed: 43,
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
    seed: 43,
  },
  {
    name: 'a publication that is not answered counts as never opened',
    file: 'hotplug/publication-fate.ts',
    find: "if (!ending) return 'pending';",
    replace: "if (!ending) return 'never';",
    seed: 43,
  },
  {
    name: 'nobody holds the device for a blkback that may open it yet',
    file: 'hotplug/take-back.ts',
    find: "if (fate === 'pending') holdDevice(device, instance);",
    replace: '',
    seed: 543,
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
    seed: 3,
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
    seed: 0,
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
    seed: 0,
  },
  {
    name: 'what is to be undone is not recorded',
    file: 'hotplug/attach-steps.ts',
    find: "if (!isNeeded()) return '';",
    replace: "if (!isNeeded() || true) return '';",
    seed: 0,
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
    file: 'hotplug/attach-steps.ts',
    find: '      await unbindPredecessor(options.runDirectory, vbd, diskseq, attachment.signal);\n',
    replace: '',
    seed: 0,
  },
  {
    name: 'a remove unbinds nothing',
    file: 'hotplug/detach-steps.ts',
    find: 'await unbindLoop(loop, signal);',
    replace: '',
    seed: 0,
  },
  {
    name: 'a remove does not wait until the device is closed',
    file: 'hotplug/detach-steps.ts',
    find: 'if (loop !== undefined) await waitLoopUnbound(loop, signal);',
    replace: '',
    seed: 0,
  },
];
