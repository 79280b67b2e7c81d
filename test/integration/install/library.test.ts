import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as library from '../../../src/index.js';
import { startBed } from '../../bed/bed.js';
import { loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { type Run, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { closeVbd } from '../../bed/toolstack.js';
import { Stage } from '../hotplug/stage.js';

const run = promisify(execFile);
const PAGE = readFileSync(join(projectRoot, 'docs/library.md'), 'utf8');
/** What a program installs beside the package, or the package brings along. */
const BESIDE = ['koffi', '@koromix', '@types', 'undici-types'];

describe('the library, from the archive that npm pack makes', function () {
  this.timeout(120_000);
  let project: string;
  before(async () => {
    project = mkdtempSync(join(tmpdir(), 'xen-library-'));
    const modules = join(project, 'node_modules');
    mkdirSync(join(modules, 'xen-blkback-hotplug'), { recursive: true });
    // Built already: prepack would build it in the middle of other tests.
    const options = ['pack', '--ignore-scripts', '--silent', '--pack-destination', project];
    const { stdout } = await run('npm', options, { cwd: projectRoot });
    const archive = join(project, stdout.trim());
    const place = join(modules, 'xen-blkback-hotplug');
    await run('tar', ['-xzf', archive, '-C', place, '--strip-components=1']);
    for (const name of BESIDE)
      symlinkSync(join(projectRoot, 'node_modules', name), join(modules, name));
    const [, example = ''] = /```js\n([\s\S]*?)```/.exec(PAGE) ?? [];
    assert.match(example, /attach\(/);
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(project, 'example.ts'), example);
    const compile = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
    await run(
      process.execPath,
      [join(projectRoot, 'node_modules/typescript/bin/tsc'), ...compile, 'example.ts'],
      {
        cwd: project,
      },
    ).catch((error: { stdout?: string }) => assert.fail(`tsc: ${error.stdout}`));
  });
  after(() => rmSync(project, { recursive: true, force: true }));

  it('has types that hold, checked whole and strictly, and runs the example of its page', async function () {
    needs(this, 'root', 'loop', 'xenstored');
    await using bed = await startBed();
    await using store = await openStore(bed);
    const stage = new Stage(bed, store);
    const vbd = await stage.vbd(stage.image());
    // Its defaults are those of a machine; this bed lies elsewhere.
    const defaults = join(
      project,
      'node_modules/xen-blkback-hotplug/dist/src/hotplug/default-options.js',
    );
    const text = readFileSync(defaults, 'utf8');
    const moved = text
      .replace("'/sys'", JSON.stringify(bed.blkback.sysfs))
      .replace(/runDirectory: \w+/, `runDirectory: ${JSON.stringify(bed.runDirectory)}`);
    assert.notEqual(moved, text);
    writeFileSync(defaults, moved);
    const example = (action: string): Promise<Run> => {
      const args = [join(project, 'example.js'), action, vbd.backendPath];
      return startProgram(process.execPath, args, bed.env).ended;
    };
    const { status, stdout, stderr } = await example('attach');
    assert.deepEqual([status, stderr], [0, ''], stdout);
    assert.match(
      stdout,
      /^published .*\n[\s\S]*^blkback has \/dev\/loop\d+ open, as sysfs tells$/m,
    );
    await closeVbd(store, vbd);
    const detached = await example('detach');
    assert.deepEqual([detached.status, detached.stderr], [0, '']);
    const refused = await example('attach');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^E[A-Z]+ /);
    assert.deepEqual(await loopsLeft(bed.images), []);
  });

  it('has a page that names all that it exports', () => {
    for (const name of Object.keys(library)) {
      // Those that ask for a class of errors are named by an example of them.
      const shown = /^is\w+Error$/.test(name) ? 'isBlockError' : name;
      assert.match(PAGE, new RegExp(`\\b${shown}\\b`), name);
    }
  });
});
