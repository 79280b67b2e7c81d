import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { on } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import * as library from '../../../src/index.js';
import { waitClosed, waitOpened } from '../../../src/index.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { effort } from '../../bed/effort.js';
import { loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { type Run, type Running, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { closeVbd } from '../../bed/toolstack.js';
import { writeApiPage } from '../../docs/api-page.js';
import { Declarations } from '../../docs/declarations.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const run = promisify(execFile);
const PAGE = readFileSync(join(projectRoot, 'docs/library.md'), 'utf8');
/** The packages that a program installs beside this package, or that this package brings along. */
const BESIDE = ['koffi', '@koromix', '@types', 'undici-types'];

describe('the library, from the archive that npm pack makes', function () {
  this.timeout(240_000);
  let project: string;
  let place: string;
  before(async () => {
    project = mkdtempSync(join(tmpdir(), 'xen-library-'));
    writeFileSync(join(project, 'package.json'), '{ "type": "module", "private": true }');
    place = join(project, 'node_modules/xen-blkback-hotplug');
    if (effort(1, 0) > 0) await installFreshClone(project);
    else await unpackCheckout(project);
    for (const name of readdirSync(join(place, 'examples'))) {
      copyFileSync(join(place, 'examples', name), join(project, name));
    }
  });
  after(() => rmSync(project, { recursive: true, force: true }));

  it('has types that hold, checked whole and strictly', async () => {
    const compile = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--noEmit'];
    // The examples are JavaScript. The compiler infers all of their types from the types of the
    // package.
    const checkJs = ['--allowJs', '--checkJs', '--noImplicitAny', 'false'];
    const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc');
    writeFileSync(join(project, 'types.ts'), TYPES);
    const sources = ['attach.js', 'check.js', 'list.js', 'serve.js', 'types.ts'];
    await run(process.execPath, [tsc, ...compile, '--types', 'node', ...checkJs, ...sources], {
      cwd: project,
    }).catch((error: { stdout?: string }) => assert.fail(`tsc: ${error.stdout}`));
  });

  it('is a package that publint finds no fault with', async () => {
    const publint = join(projectRoot, 'node_modules/publint/src/cli.js');
    const { stdout } = await run(process.execPath, [publint, '--strict', '--pack', 'false'], {
      cwd: place,
    }).catch((error: { stdout?: string }) => assert.fail(`publint: ${error.stdout}`));
    assert.match(stdout, /All good!/);
  });

  it('has the sources of all that is compiled', () => {
    for (const name of ['src/index.ts', 'tsconfig.json', 'native/addon.cc', 'native/binding.gyp']) {
      assert.ok(existsSync(join(place, name)), name);
    }
  });

  it('attaches, lists and detaches a file by the examples, and refuses what is wrong', async function () {
    needs(this, 'root', 'loop', 'xenstored');
    await using bed = await startBed();
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const image = fixture.image();
    const vbd = await fixture.vbd(image);
    moveDefaults(place, bed);
    const example = (name: string, ...words: string[]): Promise<Run> =>
      startProgram(process.execPath, [join(project, `${name}.js`), ...words], bed.env).ended;
    const { status, stdout, stderr } = await example('attach', 'attach', vbd.backendPath);
    assert.deepEqual([status, stderr], [0, ''], stdout);
    assert.match(
      stdout,
      /^published .*\n[\s\S]*^blkback has \/dev\/loop\d+ open, as sysfs tells$/m,
    );
    const listed = await example('list');
    assert.deepEqual([listed.status, listed.stderr], [0, '']);
    assert.match(listed.stdout, /^backend\/vbd\/\d+\/\d+ of .*: .*, 7:\d+, open in blkback$/m);
    const busy = await example('check', image);
    assert.deepEqual([busy.status, busy.stderr], [3, ''], busy.stdout);
    assert.match(busy.stdout, / is attached read-write to domain \d+ as xvda;/);
    await closeVbd(store, vbd);
    const detached = await example('attach', 'detach', vbd.backendPath);
    assert.deepEqual([detached.status, detached.stderr], [0, '']);
    const free = await example('check', image);
    assert.deepEqual([free.status, free.stdout], [0, `${image} can be attached\n`]);
    const refused = await example('attach', 'attach', vbd.backendPath);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^E[A-Z]+ /);
    const wrong = await example('attach', 'attach', '7/51712');
    assert.match(wrong.stderr, /^EARGUMENT attach: vbd is '7\/51712'/);
    assert.deepEqual(await loopsLeft(bed.images), []);
  });

  it('says which addon cannot be loaded, and on what machine', async () => {
    const addon = join(place, 'native/build/Release/blkback.node');
    const bytes = readFileSync(addon);
    try {
      // The e_machine field of the ELF header makes this the file of another processor.
      writeFileSync(
        addon,
        Buffer.concat([bytes.subarray(0, 18), Buffer.of(0xff), bytes.subarray(19)]),
      );
      const args = [join(project, 'check.js'), '/srv/a.img'];
      const { status, stderr } = await startProgram(process.execPath, args, {}).ended;
      assert.equal(status, 1);
      assert.match(
        stderr,
        /the native addon .*blkback\.node cannot be loaded: .*; .* this is linux /,
      );
    } finally {
      writeFileSync(addon, bytes);
    }
  });

  it('serves the vbds of this domain by an example', async function () {
    needs(this, 'root', 'loop', 'xenstored');
    await using bed = await startBed();
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    moveDefaults(place, bed);
    const service = startProgram(process.execPath, [join(project, 'serve.js')], bed.env);
    const attached = once(service, /^backend\/vbd\/\d+\/\d+ add attached \/dev\/loop\d+ \d+$/m);
    const vbd = await fixture.vbd(fixture.image());
    await attached;
    await waitOpened(store, vbd.backendPath, { sysfs: bed.blkback.sysfs });
    await closeVbd(store, vbd);
    await waitClosed(vbd.backendPath, { sysfs: bed.blkback.sysfs });
    service.process.kill('SIGTERM');
    const { status, stdout, stderr } = await service.ended;
    assert.deepEqual([status, stderr], [0, ''], stdout);
    assert.match(stdout, /^ready$/m);
    assert.match(stdout, /^\S+ add published \/dev\/loop\d+ \d+$/m);
    assert.deepEqual(await loopsLeft(bed.images), []);
  });

  it('has pages that show the example as it is, and every export', () => {
    assert.ok(PAGE.includes(readFileSync(join(projectRoot, 'examples/attach.js'), 'utf8')));
    for (const name of Object.keys(library)) assert.match(PAGE, new RegExp(`\\b${name}\\b`), name);
    const exported = new Declarations(join(projectRoot, 'dist/src')).exportsOf('index');
    const api = readFileSync(join(projectRoot, 'docs/api.md'), 'utf8');
    assert.equal(api, writeApiPage(exported), 'npm run docs:api makes it anew');
  });
});

/** Resolves when a program has printed a text that matches the pattern. */
async function once({ process: { stdout } }: Running, pattern: RegExp): Promise<void> {
  let text = '';
  for await (const [data] of on(stdout as Readable, 'data', {
    signal: AbortSignal.timeout(20_000),
  })) {
    text += data;
    if (pattern.test(text)) return;
  }
}

/** A TypeScript program that uses the promised types. */
const TYPES = `
import {
  type AttachOptions, attach, type BlkbackError, check, followEvents, isBlkbackError, list, openXenstore,
  type FeedEvent, type VbdSummary,
} from 'xen-blkback-hotplug';

const store = await openXenstore();
const options: AttachOptions = {};
const { publication, warnings } = await attach(store, 'backend/vbd/7/51712', {
  ...options,
  onStep(step, detail, device) {
    const name: 'planned' | 'opened' | string = step;
    const diskseq: bigint | undefined = device?.diskseq;
    console.log(name, detail.length, diskseq);
  },
});
const text: string | undefined = publication?.['physical-device'];
const all: VbdSummary[] = await list(store, { domid: 7 });
const { free }: { readonly free: boolean } = await check(store, '/srv/a.img');
for await (const event of followEvents()) {
  const { step, vbd }: FeedEvent = event;
  console.log(step, vbd.domid, text, all.length, free, warnings.length);
}
try {
  // @ts-expect-error there is no such option
  await attach(store, 'backend/vbd/7/51712', { timeout: 5 });
} catch (error) {
  if (isBlkbackError(error, 'EBUSY')) {
    const code: 'EBUSY' = error.code;
    const whole: BlkbackError = error;
    console.log(code, whole.guestMessage);
  }
}
`;

/** Installs the package as a user does, from the sources that are committed. */
async function installFreshClone(project: string): Promise<void> {
  const clone = join(project, 'clone');
  await run('git', ['clone', '--quiet', projectRoot, clone]);
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', project], {
    cwd: clone,
  });
  const archive = stdout.trim().split('\n').at(-1) ?? '';
  rmSync(clone, { recursive: true });
  await run('npm', ['install', '--no-audit', '--no-fund', `./${archive}`, '@types/node@20'], {
    cwd: project,
  });
}

/** Installs the package from this checkout, which is built already, without a registry. */
async function unpackCheckout(project: string): Promise<void> {
  const modules = join(project, 'node_modules');
  const place = join(modules, 'xen-blkback-hotplug');
  mkdirSync(place, { recursive: true });
  const options = ['pack', '--ignore-scripts', '--silent', '--pack-destination', project];
  const { stdout } = await run('npm', options, { cwd: projectRoot });
  await run('tar', ['-xzf', join(project, stdout.trim()), '-C', place, '--strip-components=1']);
  for (const name of BESIDE)
    symlinkSync(join(projectRoot, 'node_modules', name), join(modules, name));
}

/** Replaces the default paths of the package, which are those of a machine, by those of a bed. */
function moveDefaults(place: string, bed: Bed): void {
  const defaults = join(place, 'dist/src/hotplug/default-options.js');
  const text = readFileSync(defaults, 'utf8');
  const moved = text
    .replace(/sysfs: '[^']*'/, `sysfs: '${bed.blkback.sysfs}'`)
    .replace(/runDirectory: [^,]+/, `runDirectory: '${bed.runDirectory}'`);
  assert.notEqual(moved, text);
  writeFileSync(defaults, moved);
}
