#!/usr/bin/env node
import { runCommandLine } from './command-line.js';
import { exitAtOnce } from './exit.js';

exitAtOnce(await runCommandLine(process.argv.slice(2)));
