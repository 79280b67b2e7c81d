#!/usr/bin/env node
// The command `xen-blkback`. .ci/build makes one file of it, in which a module costs time only when it is
// used: what only some commands need is imported where they begin.
import { endProcess, print } from './output.js';

const words = process.argv.slice(2);
if (words.length === 1 && words[0] === '--version') {
  import('./describe-version.js').then(({ describeVersion }) => {
    print(describeVersion());
    return endProcess(0);
  });
} else {
  // Not awaited at the top level, which would rule out the one file's format.
  import('./command-line.js').then(({ runCommandLine }) => runCommandLine(words)).then(endProcess);
}
