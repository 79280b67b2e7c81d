// The program of `xen-blkback --version` (start.ts).
import { describeVersion } from './describe-version.js';
import { endProcess, print } from './output.js';

print(describeVersion());
void endProcess(0);
