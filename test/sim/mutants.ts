import { BARE_DEV_MUTANTS } from './bare-dev-mutants.js';
import type { Mutant } from './bundle.js';
import { GC_MUTANTS } from './gc-mutants.js';
import { KIN_MUTANTS } from './kin-mutants.js';
import { MAPPER_MUTANTS } from './mapper-mutants.js';
import { PARTITION_MUTANTS } from './partition-mutants.js';
import { QUOTA_MUTANTS } from './quota-mutants.js';
import { REMOVE_MUTANTS } from './remove-mutants.js';
import { UEVENT_MUTANTS } from './uevent-mutants.js';

/** Small changes that make the program wrong. The simulator must find each one of them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'nobody looks who else has the bytes',
    file: 'sharing/sharing-lock.ts',
    find: 'const conflict = await firstConflict(findConflicts(wanted, seen, context));',
    replace: 'const conflict = undefined as Awaited<ReturnType<typeof firstConflict>>;',
  },
  {
    name: 'no lock is taken',
    file: 'sharing/storage-locks.ts',
    find: 'await poll(signal, async () => tryLockByte(file, position, exclusive) || undefined);',
    replace: '',
  },
  {
    name: 'those who write share their lock',
    file: 'sharing/sharing-lock.ts',
    find: 'return locksOf(extents, this.#exclusive);',
    replace: 'return locksOf(extents, false);',
  },
  {
    name: 'the lock is let go before the publication',
    file: 'hotplug/attach-steps.ts',
    find: '      await device.verify(signal);\n      requireDeviceClosed(instance);',
    replace:
      '      await sharingLock[Symbol.asyncDispose]();\n      await device.verify(signal);\n      requireDeviceClosed(instance);',
  },
  {
    name: 'a file counts as alone whoever has it open',
    file: 'sharing/sharing-request.ts',
    find: '      isSoleOpener(file, access) &&\n',
    replace: '',
  },
  {
    name: 'two who write may share',
    file: 'sharing/sharing-rules.ts',
    find: "writers <= (sharing === 'read-only' ? 1 : 0)",
    replace: 'writers <= 1',
  },
  {
    name: 'what the kernel has open does not count',
    file: 'vbd/vbd-uses.ts',
    find: 'const uses: VbdUse[] = [...known.values()];',
    replace: 'const uses: VbdUse[] = [];',
  },
  {
    name: 'what is published does not count',
    file: 'vbd/vbd-uses.ts',
    find: 'if (device === undefined || !isWanted(device.devnum)) continue;',
    replace: 'if (device !== undefined || true) continue;',
  },
  {
    name: 'a loop device that nobody explains is nobody',
    file: 'sharing/find-conflicts.ts',
    find: 'yield* await findUnexplainedLoops(snapshot, query);',
    replace: '',
  },
  {
    name: 'the device is let go before blkback has opened it',
    file: 'hotplug/published-steps.ts',
    find: '    awaitBlkback(attachment),\n',
    replace: '',
  },
  {
    name: 'the roll-back erases the publication whatever has come of it',
    file: 'hotplug/withdraw-publication.ts',
    find: "if (outcome === 'never') {",
    replace: "if (outcome !== ('' as string)) {",
  },
  {
    name: 'a publication that is not answered counts as never opened',
    file: 'hotplug/publication-outcome.ts',
    find: "if (!ending) return 'pending';",
    replace: "if (!ending) return 'never';",
  },
  {
    name: 'nobody holds the device for a blkback that may open it yet',
    file: 'hotplug/withdraw-publication.ts',
    find: "if (outcome === 'pending' && !isHeld) holdDevice(device, instance, await markOf(attachment));",
    replace: '',
  },
  {
    name: 'what blkback may still open does not count',
    file: 'sharing/find-conflicts.ts',
    find: '  yield* await findPendingUses(snapshot, unexplained, { ...reach, clashes });\n',
    replace: '  void unexplained;\n',
  },
  {
    name: 'time is never up',
    file: 'hotplug/deadline.ts',
    find: 'this.#timer = setTimeout(expire, timeoutMs - reserve);',
    replace: 'this.#timer = setTimeout(expire, 1e9);',
  },
  {
    name: 'a loop device does not clear itself',
    file: 'block/loop/loop-device.ts',
    find: 'LO_FLAGS_AUTOCLEAR |\n',
    replace: '',
  },
  {
    name: 'a number that a vbd names is bound again',
    file: 'block/loop/free-loop.ts',
    find: '!(await findNamed?.([number]))?.has(number)',
    replace: '(await findNamed?.([number])) !== null',
  },
  {
    name: 'a failure is reported below a backend that is gone',
    file: 'hotplug/report-to-toolstack.ts',
    find: "      { op: 'exists', path: vbd.backend },\n",
    replace: '',
  },
  {
    name: 'a vbd that was made anew is not told from the one before',
    file: 'vbd/publish-device.ts',
    find: 'if (!directory.isCurrent()) return false;',
    replace: '',
  },
  {
    name: 'a second publication overwrites the first one',
    file: 'vbd/publish-device.ts',
    find: "    { op: 'expect', path: backendNode(vbd, 'physical-device'), value: undefined },\n",
    replace: '',
  },
  {
    name: 'what is to be undone is not recorded',
    file: 'hotplug/record-undoing.ts',
    find: 'takeBack = placeRecord(runDirectory, vbd, { devnum, diskseq, path, unbind: true });',
    replace: 'void [path, takeBack, placeRecord];',
  },
  {
    name: 'the slower of two adds removes the record of the other one',
    file: 'vbd/record.ts',
    find: 'if (readTextLeniently(directory, vbd) !== text) return;\n',
    replace: '',
  },
  {
    name: 'an add that fails takes back the record of an add that has adopted its device',
    file: 'vbd/record.ts',
    find: '    if (readTextLeniently(directory, vbd) !== text) return;\n',
    replace: '    if (readRecordLeniently(directory, vbd)?.diskseq !== record.diskseq) return;\n',
  },
  {
    name: 'the record of a vbd that was there before is overwritten',
    file: 'hotplug/record-undoing.ts',
    find: '          await unbindPredecessor(runDirectory, vbd, diskseq, signal);\n',
    replace: '',
  },
  {
    name: 'opened is believed whatever it answers',
    file: 'vbd/await-device-opened.ts',
    find: "        if (open !== undefined) return judge(vbd, open, devnum, 'key');\n",
    replace: "        return open === undefined ? 'key' : judge(vbd, open, devnum, 'key');\n",
  },
  // The faults that the simulator has found, as they were.
  {
    name: 'what is published counts as stale although its device is held',
    file: 'sharing/find-conflicts.ts',
    find: 'const isHeld = (use: VbdUse): boolean => isPending(pending, use);',
    replace: 'const isHeld = (use: VbdUse): boolean => isPending(pending.slice(0, 0), use);',
  },
  {
    name: 'an add that fails forgets a loop device that another add has adopted',
    file: 'hotplug/record-undoing.ts',
    find: 'if (!attachment.isStillNamed && !attachment.mayStayBound) takeBack?.();',
    replace: 'if (!attachment.mayStayBound) takeBack?.();',
  },
  {
    name: 'an adopted device gets no record',
    file: 'hotplug/adopt-steps.ts',
    find: '    recordUndoing(attachment),\n    announceOpen',
    replace: '    announceOpen',
  },
  {
    name: 'the record of a vbd that was there before stays',
    file: 'hotplug/record-undoing.ts',
    find: '          await forgetPredecessor(runDirectory, vbd, diskseq, signal);\n',
    replace: '',
  },
  {
    name: 'a number that is marked as about to be opened is bound',
    file: 'hotplug/attach-steps.ts',
    find: '[...pending, ...uses]',
    replace: '[...pending.slice(0, 0), ...uses]',
  },
  {
    name: 'an add that fails takes back what a vbd names that was made anew',
    file: 'hotplug/withdraw-publication.ts',
    find: '!isMadeAnew(sysfs, vbd.sysfsName, instance.directory)',
    replace: 'sysfs !== undefined',
  },
  {
    name: 'an add replaces the record of an add that is published meanwhile',
    file: 'hotplug/record-undoing.ts',
    find: '        await requireNamedAsSeen(store, vbd, backend, { signal });\n',
    replace: '',
  },
  {
    name: 'a loop device counts as free before it is open',
    file: 'block/loop/loop-device.ts',
    find: 'const loop = await openLoop(free.number, options);\n        return await withOwnership(loop, async () => {\n          if (!(await free.mayBeBound())) {',
    replace:
      'const mayBe = await free.mayBeBound();\n        const loop = await openLoop(free.number, options);\n        return await withOwnership(loop, async () => {\n          if (!mayBe) {',
  },
  {
    name: 'an error of the guest counts as an answer',
    file: 'vbd/vbd-backend.ts',
    find: 'return this.kernelError !== undefined && OPEN_FAILED.test(this.kernelError);',
    replace: 'return this.kernelError !== undefined;',
  },
  {
    name: 'who names the number of an earlier device gets nothing',
    file: 'sharing/find-guest-uses.ts',
    find: 'if (!(await mayStillOpen(use, context))) return undefined;',
    replace: 'if (use.pending || (await mayStillOpen(use, context))) return undefined;',
  },
  {
    name: 'a look at many vbds believes its first trip',
    file: 'vbd/list-publications.ts',
    find: 'return { probed: [...others, ...probed], publications };',
    replace:
      'return { probed: [...all.filter((_, at) => values[at]?.[1]), ...probed], publications };',
  },
  {
    name: 'what blkback may still open is listed before the uses only',
    file: 'sharing/pending-opens.ts',
    find: '  const after = await listPendingOpens(runDirectory);\n',
    replace: '  const after: PendingOpen[] = [];\n',
  },
  {
    name: 'a repeated look forgets what the first one saw',
    file: 'vbd/ending-vbds.ts',
    find: 'uses: [...uses, ...kept.map(({ use }) => use)], seen',
    replace: 'uses: kept.length >= 0 ? [...uses] : [], seen',
  },
  ...REMOVE_MUTANTS,
  ...BARE_DEV_MUTANTS,
  ...KIN_MUTANTS,
  ...QUOTA_MUTANTS,
  ...PARTITION_MUTANTS,
  ...MAPPER_MUTANTS,
  ...UEVENT_MUTANTS,
  ...GC_MUTANTS,
];
