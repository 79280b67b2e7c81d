import type { Mutant } from './bundle.js';

// Small changes that only schedules with domains of one virtual machine can find.

const CHANGES: readonly Omit<Mutant, 'needs'>[] = [
  {
    name: 'a stub domain is another virtual machine than its guest',
    file: 'sharing/same-vm.ts',
    find: 'targetVm: targetVm.text, unreadable',
    replace: 'targetVm: undefined, unreadable',
  },
  {
    name: 'the two ends of a migration are two virtual machines',
    file: 'sharing/same-vm.ts',
    find: 'vm === b.vm || vm === b.targetVm',
    replace: '(vm === b.vm && b.targetVm !== undefined) || vm === b.targetVm',
  },
  {
    name: 'a layer with a key of its own shares with its virtual machine',
    file: 'sharing/find-guest-uses.ts',
    find: 'tolerated: isKin && !encrypted,',
    replace: 'tolerated: isKin,',
  },
  {
    name: 'where a stub domain has the disk, all domains are one virtual machine',
    file: 'sharing/find-guest-uses.ts',
    find: "const kinship = self === undefined ? 'other' :",
    replace:
      "const kinship = domains.some(({ targetVm }) => targetVm) ? 'same' : self === undefined ? 'other' :",
  },
];

export const KIN_MUTANTS: readonly Mutant[] = CHANGES.map((change) => ({
  ...change,
  needs: 'kin',
}));
