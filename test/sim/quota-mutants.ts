import type { Mutant } from './bundle.js';

// Small changes that only schedules with quotas can find.

const CHANGES: readonly Omit<Mutant, 'needs'>[] = [
  {
    name: 'a transaction is committed without the node that a quota has refused',
    file: 'xenstore/transact-exchange.ts',
    find: "if (errno !== 0 && (errno !== ERRNO.ENOENT || step.op === 'write')) {",
    replace: 'if (errno !== 0 && errno !== ERRNO.ENOENT && errno !== ERRNO.ENOSPC) {',
  },
  {
    name: 'the name that oxenstored has for a quota is unknown',
    file: 'xenstore/payload.ts',
    find: 'const OTHER_NAMES = { EQUOTA: ERRNO.ENOSPC };',
    replace: 'const OTHER_NAMES = { EQUOTA: ERRNO.EIO };',
  },
  {
    name: 'a transaction that a quota has refused at its end counts as done',
    file: 'xenstore/transact-exchange.ts',
    find: "    if (errno !== 0) this.fail('transact', '', errno);\n",
    replace: "    if (errno !== 0 && errno !== ERRNO.ENOSPC) this.fail('transact', '', errno);\n",
  },
];

export const QUOTA_MUTANTS: readonly Mutant[] = CHANGES.map((change) => ({
  ...change,
  needs: 'quotas',
}));
