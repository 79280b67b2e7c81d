#!/usr/bin/env node
// Compiles the programs in dist/code and writes their code caches, for the Node.js that runs this.
// The build runs it, and so do the installer and the packages, after they have put the files in place
// and when Node.js has changed.
import { dirname, join } from 'node:path';
import { PROGRAMS, writeCodeCache } from './code-cache.js';

/** The name of this file, inserted by .ci/build. */
declare const __FILE__: string;

for (const name of PROGRAMS) {
  writeCodeCache(join(dirname(__FILE__), 'code', `${name}.cjs`));
}
