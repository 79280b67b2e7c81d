// The program that hotplug-scripts/block-diskseq runs (start.ts). A toolstack waits for this process
// once for every disk. So the program loads only the modules that its one action needs, and no
// command line parser. .ci/build bundles it into one file.
import { FROM_ENVIRONMENT } from './invocation.js';
import { complain, endProcess } from './output.js';
import { run } from './run.js';
import { addForToolstack, logChange, removeForToolstack } from './xapi.js';

const [word, ...rest] = process.argv.slice(2);
const action =
  word === 'add' ? addForToolstack : word === 'remove' ? removeForToolstack : undefined;
if (action !== undefined && rest.length === 0) {
  // A top-level await is impossible in CommonJS, the format of the one file.
  run(FROM_ENVIRONMENT, action).then(endProcess);
} else if (word === 'change' && rest.length === 0) {
  logChange();
} else {
  complain('usage: XENBUS_PATH=backend/vbd/<domid>/<devid> block-diskseq add|remove\n');
  process.exitCode = 1;
}
