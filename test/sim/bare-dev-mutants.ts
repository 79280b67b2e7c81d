import type { Mutant } from './bundle.js';

// Small changes that only schedules with a bare /dev can find.

const CHANGES: readonly Omit<Mutant, 'needs'>[] = [
  {
    name: 'a node that was made in /dev stays',
    file: 'block/device-node.ts',
    find: '  } finally {\n    unlinkSync(own);\n  }',
    replace: '  } finally {\n    void own;\n  }',
  },
  {
    name: 'a loop device that has no node in /dev has no bytes',
    file: 'topology/storage-snapshot.ts',
    find: "const hidden = isSystemError(result, 'ENOENT') && isPresent(devnum);",
    replace:
      "const hidden = isSystemError(result, 'ENOENT') && isPresent(devnum) && block.directory === '';",
  },
  {
    name: 'a loop device that has no node in /dev is not unbound',
    file: 'block/loop/release-loop.ts',
    find: 'fd = await openDeviceNode(loop.path, loop.devnum, O_RDONLY, signal);',
    replace:
      "fd = await (await import('../../linux/fd.js')).OwnedFd.open(loop.path, O_RDONLY, { signal });",
  },
];

export const BARE_DEV_MUTANTS: readonly Mutant[] = CHANGES.map((change) => ({
  ...change,
  needs: 'bare /dev',
}));
