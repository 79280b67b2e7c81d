#!/usr/bin/env node
// What hotplug-scripts/block-diskseq runs. A toolstack waits for this process once for every disk, so
// it loads just what its one action needs: no command line parser, and no module that is not used.
// .ci/build makes one file of it.
import { complain, endProcess } from './output.js';
import { FROM_ENVIRONMENT, run } from './run.js';
import { addForToolstack, logChange, removeForToolstack } from './xapi.js';

const [word, ...rest] = process.argv.slice(2);
const action =
  word === 'add' ? addForToolstack : word === 'remove' ? removeForToolstack : undefined;
if (action !== undefined && rest.length === 0) {
  // Not awaited at the top level, which would rule out the one file's format.
  run(FROM_ENVIRONMENT, action).then(endProcess);
} else if (word === 'change' && rest.length === 0) {
  logChange();
} else {
  complain('usage: XENBUS_PATH=backend/vbd/<domid>/<devid> block-diskseq add|remove\n');
  process.exitCode = 1;
}
