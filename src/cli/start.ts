#!/usr/bin/env node
// What people and scripts start: dist/xen-blkback.cjs and dist/block-diskseq.cjs. Runs the program of
// that name in dist/code with its code cache, which Node.js 20 does not do by itself.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadProgram, type Program } from './code-cache.js';

/** The name of this file and of its program, inserted by .ci/build. */
declare const __FILE__: string;
declare const __PROGRAM__: string;

// Scripts ask for the version often, and the whole command takes longer to load than to answer.
const isVersion = process.argv.length === 3 && process.argv[2] === '--version';
const name = isVersion && __PROGRAM__ === 'xen-blkback' ? 'version' : __PROGRAM__;
const program = loadProgram(join(dirname(__FILE__), 'code', `${name}.cjs`));
(program.runInThisContext() as Program)(createRequire(__FILE__), __FILE__);
