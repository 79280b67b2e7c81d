#!/usr/bin/env node
// The command `xen-blkback`. .ci/build bundles it into one file, in which a module costs time only
// when it is used. So modules that only some commands need are imported where these commands begin.
import { endProcess, print } from './output.js';

const words = process.argv.slice(2);
if (words.length === 1 && words[0] === '--version') {
  import('./describe-version.js').then(({ describeVersion }) => {
    print(describeVersion());
    return endProcess(0);
  });
} else {
  // A top-level await is impossible in CommonJS, the format of the one file.
  import('./command-line.js').then(({ runCommandLine }) => runCommandLine(words)).then(endProcess);
}
