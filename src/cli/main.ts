// The program of the command `xen-blkback` (start.ts). .ci/build bundles it into one file, in which a
// module costs time only when it is used. So modules that only some commands need are imported where
// these commands begin.
import { runCommandLine } from './command-line.js';
import { endProcess } from './output.js';
import { readWords } from './read-words.js';

// A top-level await is impossible in CommonJS, the format of the one file.
runCommandLine(readWords()).then(endProcess);
