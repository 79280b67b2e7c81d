// npm run docs:api: writes docs/api.md from what has been built.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../bed/paths.js';
import { writeApiPage } from './api-page.js';
import { Declarations } from './declarations.js';

const exported = new Declarations(join(projectRoot, 'dist/src')).exportsOf('index');
writeFileSync(join(projectRoot, 'docs/api.md'), writeApiPage(exported));
