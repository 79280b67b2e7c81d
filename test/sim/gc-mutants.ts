import type { Mutant } from './bundle.js';

/** Mutants of what `gc` looks at before it ends something. */
export const GC_MUTANTS: readonly Mutant[] = [
  {
    name: 'gc clears a loop device whoever names it',
    file: 'audit/repair.ts',
    find: '  await requireUnnamed(store, loop, undefined, options);\n',
    replace: '',
    needs: 'gc',
  },
  {
    name: 'gc does not ask what blkback may still open',
    file: 'audit/repair.ts',
    find: '  const late = pending.find(\n',
    replace: '  const late = pending.slice(0, 0).find(\n',
    needs: 'gc',
  },
  {
    name: 'gc takes back what an add has published that is still under way',
    file: 'audit/repair.ts',
    find: '      await requireNotAwaited(vbd, options);\n',
    replace: '',
    needs: 'gc',
  },
  {
    name: 'gc detaches a vbd that has changed since its look',
    file: 'audit/confirm-detach.ts',
    find: "    if (!isSame || backend.text('state') !== state) throw changed;\n",
    replace: '',
    needs: 'gc',
  },
  {
    name: 'gc detaches a vbd that was made anew',
    file: 'audit/confirm-detach.ts',
    find: '    if (backend.exists || found.wasMadeAnew) throw changed;\n',
    replace: '',
    needs: 'gc',
  },
  {
    name: 'gc removes the nodes of a vbd that blkback has taken up',
    file: 'audit/repair.ts',
    find: '      requireClosed(vbd, options);\n',
    replace: '',
    needs: 'gc',
  },
  {
    name: 'gc unbinds the loop device of a vbd although somebody has it open',
    file: 'audit/confirm-detach.ts',
    find: '  if (holders.length === 0) return;\n',
    replace: '  if (holders.length >= 0) return;\n',
    needs: 'gc',
  },
  {
    name: 'gc clears a loop device that another one has become',
    file: 'block/loop/clear-idle-loop.ts',
    find: '  if ((await getDiskseq(fd)) !== loop.diskseq) throw otherLoopError(loop);\n',
    replace: '',
    needs: 'gc',
  },
  {
    name: 'gc leaves the autoclear that the kernel has switched on',
    file: 'block/loop/clear-idle-loop.ts',
    find: '    await setAutoclear(fd, false, { signal: AbortSignal.timeout(CLEAR_MS) });\n',
    replace:
      '    if (fd.fd < 0) await setAutoclear(fd, false, { signal: AbortSignal.timeout(CLEAR_MS) });\n',
    needs: 'gc',
  },
];
