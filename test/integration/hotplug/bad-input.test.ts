import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachLoop, type Loop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { beforeWriting, failure, MARKER, on, only, type Stage, type VbdChange } from './stage.js';

const TIMEOUT_MS = 4000;
/** For those that only the deadline ends. */
const SHORT_MS = 600;

interface Case {
  readonly name: string;
  /** Makes what is wrong, and returns `params`. */
  readonly params?: (stage: Stage) => string | Promise<string>;
  /** Bytes that no toolstack in its right mind would write to `params`. */
  readonly bytes?: Buffer;
  readonly vbd?: VbdChange;
  readonly code: string;
  readonly says: RegExp;
  /** Also through the script, with all that it has to write and print. */
  readonly script?: true;
}

const file = (stage: Stage) => stage.image();
const inImages = (stage: Stage, name: string) => join(stage.bed.images, name);

const CASES: readonly Case[] = [
  {
    name: 'there is no params',
    vbd: { omit: ['params'] },
    code: 'EBACKEND',
    says: /no params node/,
  },
  { name: 'params is empty', params: () => '', code: 'ETARGET', says: /it is empty/, script: true },
  {
    name: 'params has a NUL',
    bytes: Buffer.from('/a\0b'),
    code: 'ETARGET',
    says: /NUL/,
    script: true,
  },
  {
    name: 'params names a file, not in UTF-8, that is not there',
    bytes: Buffer.from([0x2f, 0xff, 0xfe]),
    code: 'ENOENT',
    says: /"\/\\xff\\xfe": no such file/,
    script: true,
  },
  {
    name: 'params has 4 kB of one name',
    params: () => `/${'x'.repeat(4000)}`,
    code: 'ENAMETOOLONG',
    says: /file name too long/,
    script: true,
  },
  {
    name: 'params has 4 kB of directories',
    params: () => '/y'.repeat(2000),
    code: 'ENOENT',
    says: /no such file or directory/,
  },
  {
    name: 'params has 4 kB of nonsense',
    params: () => 'z'.repeat(4000),
    code: 'ENAMETOOLONG',
    says: /file name too long/,
  },
  {
    name: 'params has a line break and an escape sequence',
    params: () => 'key\n\u001b[31m\u2028=x',
    code: 'ETARGET',
    says: /unknown key/,
    script: true,
  },
  {
    name: 'a key is unknown',
    params: () => 'path=/x,colour=red',
    code: 'ETARGET',
    says: /"colour"/,
  },
  {
    name: 'a key stands twice',
    params: () => 'path=/x,path=/y',
    code: 'ETARGET',
    says: /"path" stands twice/,
  },
  {
    name: 'a value is missing',
    params: () => 'path=',
    code: 'ETARGET',
    says: /"path" has no value/,
  },
  {
    name: 'the path is relative',
    params: () => 'path=x/y',
    code: 'ETARGET',
    says: /must be absolute/,
  },
  { name: 'params is a bare word', params: () => 'disk.img', code: 'ENOENT', says: /disk\.img/ },
  {
    name: 'the block size is odd',
    params: (stage) => `path=${file(stage)},block-size=513`,
    code: 'ETARGET',
    says: /block-size="513"/,
  },
  {
    name: 'only a mapper device could have what is asked of a file',
    params: (stage) => `path=${file(stage)},deferred-remove=yes`,
    code: 'ENOTMAPPER',
    says: /deferred-remove .* regular file/,
  },
  {
    name: 'there is no mode',
    params: file,
    vbd: { omit: ['mode'] },
    code: 'EBACKEND',
    says: /no mode node/,
  },
  {
    name: 'mode is nonsense',
    params: file,
    vbd: { mode: 'x' },
    code: 'EMODE',
    says: /mode is "x"/,
  },
  { name: 'mode is empty', params: file, vbd: { mode: '' }, code: 'EMODE', says: /mode is ""/ },
  {
    name: 'there is no dev',
    params: file,
    vbd: { omit: ['dev'] },
    code: 'EBACKEND',
    says: /no dev node/,
  },
  {
    name: 'there is no such file',
    params: (stage) => inImages(stage, 'nothing'),
    code: 'ENOENT',
    says: /nothing: no such file or directory/,
    script: true,
  },
  {
    name: 'a link leads nowhere',
    params: (stage) => link(stage, inImages(stage, 'nothing')),
    code: 'ENOENT',
    says: /no such file or directory/,
  },
  {
    name: 'links go round in circles',
    params: (stage) => link(stage, inImages(stage, 'link')),
    code: 'ELOOP',
    says: /symbolic links/,
  },
  {
    name: 'a component of the path is a file',
    params: (stage) => `${file(stage)}/x`,
    code: 'ENOTDIR',
    says: /not a directory/,
  },
  {
    name: 'the target is a directory',
    params: (stage) => stage.bed.images,
    code: 'ENOTDISK',
    says: /is a directory/,
    script: true,
  },
  { name: 'the target is a FIFO', params: makeFifo, code: 'ENOTDISK', says: /is a FIFO/ },
  {
    name: 'the target is a character device',
    params: () => '/dev/zero',
    code: 'ENOTDISK',
    says: /is a character device/,
  },
  {
    name: 'the target is a socket',
    params: (stage) => stage.bed.xenstored.socketPath,
    code: 'ENOTDISK',
    says: /is a socket/,
  },
  {
    name: 'the file is empty',
    params: (stage) => stage.image('', { size: 0 }),
    code: 'EWINDOW',
    says: /has 0 bytes/,
    script: true,
  },
  {
    name: 'the file is smaller than a block',
    params: (stage) => stage.image('x', { size: 511 }),
    code: 'EWINDOW',
    says: /less than one block of 512 bytes/,
  },
  {
    name: 'the file does not come out even in blocks',
    params: (stage) => `path=${stage.image('x', { size: 4096 + 512 })},block-size=4096`,
    code: 'EWINDOW',
    says: /not a multiple of the block size 4096/,
  },
  {
    name: 'the part reaches beyond the end of the file',
    params: (stage) => `path=${file(stage)},offset=1048064,size=1024`,
    code: 'EWINDOW',
    says: /beyond its end/,
  },
  {
    name: 'the part begins at the end of the file',
    params: (stage) => `path=${file(stage)},offset=1048576`,
    code: 'EWINDOW',
    says: /less than one block/,
  },
  {
    name: 'a file is to have a diskseq',
    params: (stage) => `path=${file(stage)},diskseq=5`,
    code: 'EIDENTITY',
    says: /regular file/,
  },
  {
    name: 'no disk has the diskseq',
    params: () => 'diskseq=0xfffffffffffffff0',
    code: 'ENOENT',
    says: /18446744073709551600/,
    script: true,
  },
  {
    name: "udev's link by number is to a number that no disk has",
    params: () => '/dev/disk/by-diskseq/18446744073709551600',
    code: 'ENOENT',
    says: /18446744073709551600/,
  },
];

/** Cases that need a loop device of the test's own. */
const DISK_CASES: readonly {
  readonly name: string;
  readonly readOnly?: true;
  readonly params: (loop: Loop) => string;
  readonly code: string;
  readonly says: RegExp;
}[] = [
  {
    name: 'the disk has another diskseq',
    params: ({ path, diskseq }) => `path=${path},diskseq=${BigInt(diskseq) + 1n}`,
    code: 'EIDENTITY',
    says: /diskseq \d+ was expected, \d+ found/,
  },
  {
    name: 'the disk has no such partition',
    params: ({ diskseq }) => `diskseq=${diskseq},partition=9`,
    code: 'ENOENT',
    says: /no partition 9/,
  },
  {
    name: 'the disk is read-only and to be written',
    readOnly: true,
    params: ({ path }) => path,
    code: 'EREADONLY',
    says: /read-only/,
  },
  {
    name: 'a disk is given what only a file has',
    params: ({ path }) => `path=${path},offset=512,autoclear=no`,
    code: 'ENOTDISK',
    says: /offset, autoclear can only be set for a file/,
  },
];

describe('bad input', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('fails with a sentence, in hotplug-error too, and touches no device, when', () => {
    for (const each of CASES) {
      it(
        each.name,
        on({ guise: 'diskseq' }, async (stage) => {
          const vbd = await stage.vbd((await each.params?.(stage)) ?? '/x', each.vbd);
          if (each.bytes) await stage.store.write(`${vbd.backendPath}/params`, each.bytes);
          await refused(stage, vbd, each.code, each.says);
          if (each.script) await refusedByScript(stage, vbd, each.says);
        }),
      );
    }

    for (const each of DISK_CASES) {
      it(
        each.name,
        on({ guise: 'diskseq' }, async (stage) => {
          await using loop = await attachLoop(stage.image(), { readOnly: each.readOnly ?? false });
          const vbd = await stage.vbd(each.params(loop));
          await refused(stage, vbd, each.code, each.says, loop);
          await loop.detach();
        }),
      );
    }

    it(
      'a loop device has nothing behind it',
      on({ guise: 'diskseq' }, async (stage) => {
        const { path, detach } = await attachLoop(stage.image());
        await detach();
        const vbd = await stage.vbd(path);
        await refused(stage, vbd, 'ENXIO', /loop/);
      }),
    );

    it(
      'the file vanishes after it was planned with',
      on({}, async (stage) => {
        const image = stage.image();
        const vbd = await stage.vbd(image);
        await refused(stage, vbd, 'ENOENT', /no such file/, undefined, (step) => {
          if (step === 'planned') rmSync(image);
        });
      }),
    );

    it(
      'the file becomes a FIFO after it was planned with: it does not wait for a writer',
      on({}, async (stage) => {
        const image = stage.image();
        const vbd = await stage.vbd(image);
        await refused(stage, vbd, 'ENOTDISK', /is a FIFO/, undefined, (step) => {
          if (step !== 'planned') return;
          rmSync(image);
          execFileSync('mkfifo', [image]);
        });
      }),
    );

    it(
      'an immutable file is to be written',
      on({}, async (stage, context) => {
        const image = stage.image();
        try {
          execFileSync('chattr', ['+i', image], { stdio: 'ignore' });
        } catch {
          console.log(`SKIPPED: ${context.runnable().fullTitle()}: no file can be made immutable`);
          context.skip();
        }
        try {
          const vbd = await stage.vbd(image);
          await refused(stage, vbd, 'EPERM', /not permitted.*immutable/);
          await stage.attach(await stage.vbd(image, { mode: 'r' }));
        } finally {
          execFileSync('chattr', ['-i', image]);
        }
      }),
    );

    it(
      'a file on a file system that is mounted read-only is to be written',
      on({}, async (stage) => {
        const directory = inImages(stage, 'mount');
        mkdirSync(directory);
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory]);
        try {
          const image = join(directory, 'image');
          writeFileSync(image, Buffer.alloc(4096, 'x'));
          execFileSync('mount', ['-o', 'remount,ro', directory]);
          const vbd = await stage.vbd(image);
          await refused(stage, vbd, 'EREADONLY', /mode w/);
          const readable = await stage.vbd(image, { mode: 'r' });
          await stage.attach(readable);
          await stage.delete(readable);
        } finally {
          execFileSync('umount', [directory]);
        }
      }),
    );
  });

  describe('of physical-device, which is there already:', () => {
    it(
      'it is a device of somebody else',
      on({}, async (stage) => {
        await using loop = await attachLoop(stage.image('somebody else'));
        const extra = { 'physical-device': loop.devnum };
        const vbd = await stage.vbd(stage.image(), { extra });
        await untouched(stage, vbd, /not what params asks for/);
        await stage.delete(vbd);
      }),
    );

    it(
      'it is another device than params asks for',
      on({ noOpen: true }, async (stage) => {
        await using loop = await attachLoop(stage.image('another'));
        await using wanted = await attachLoop(stage.image('the wanted'));
        for (const params of [stage.image(), wanted.path, `diskseq=${wanted.diskseq}`]) {
          const vbd = await stage.vbd(params, { extra: published(loop) });
          await untouched(stage, vbd, /not what params asks for/);
        }
      }),
    );

    it(
      'it is a loop device over another part of the file',
      on({ noOpen: true }, async (stage) => {
        const image = stage.image();
        await using loop = await attachLoop(image, { offset: 4096 });
        const vbd = await stage.vbd(image, { extra: published(loop) });
        await untouched(stage, vbd, /not what params asks for/);
      }),
    );

    it(
      'it is a device that is gone, or another by now',
      on({ noOpen: true }, async (stage) => {
        const image = stage.image();
        const loop = await attachLoop(image);
        await loop.detach();
        const vbd = await stage.vbd(image, { extra: published(loop) });
        await untouched(stage, vbd, /has to be removed first/);
        await using _another = await attachLoop(stage.image('another'));
        await untouched(stage, vbd, /has to be removed first/);
        await stage.detach(vbd);
        assert.equal(await stage.node(vbd, 'physical-device'), undefined);
      }),
    );

    for (const value of ['', 'hello', '7', '7:', '-7:0', '@']) {
      it(
        `it is ${JSON.stringify(value)}, which names none`,
        on({ noOpen: true }, async (stage) => {
          const vbd = await stage.vbd(stage.image(), { extra: { 'physical-device': value } });
          await untouched(stage, vbd, /names no device to blkback/);
        }),
      );
    }

    it(
      'somebody writes it while the device is being opened',
      on({ noOpen: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const path = `${vbd.backendPath}/physical-device`;
        const store = beforeWriting(stage.store, 'physical-device', () =>
          stage.store.write(path, 'fe:0'),
        );
        const error = await failure('EPUBLISHED', stage.attachThrough(store, vbd));
        assert.match(error.message, /254:0/);
        assert.equal(await stage.node(vbd, 'physical-device'), 'fe:0');
        assert.deepEqual(await reported(stage, vbd), ['error', error.message]);
        stage.assertNothingLeft();
      }),
    );
  });

  describe('of the state of the backend:', () => {
    for (const [state, name] of [
      ['5', 'Closing'],
      ['6', 'Closed'],
    ] as const) {
      it(
        `state ${state} is an error at once`,
        on({}, async (stage) => {
          const vbd = await stage.create(stage.image(), { extra: { state } });
          const error = await refused(stage, vbd, 'ESTATE', new RegExp(name));
          const { milliseconds } = await refusedByScript(stage, vbd, new RegExp(name));
          assert.ok(milliseconds < 3000, `${milliseconds} ms, ${error.message}`);
        }),
      );
    }

    it(
      'state 1 for ever ends at the deadline, and asks for xen-blkback',
      on({ noProbe: true }, async (stage) => {
        const vbd = await stage.create(stage.image());
        const start = performance.now();
        const attempt = stage.attach(vbd, { timeoutMs: SHORT_MS });
        const error = await failure('ETIMEDOUT', attempt);
        assertSpent(start);
        assert.match(error.message, /0\.6 s.*is xen-blkback loaded\?/);
        await stage.assertTakenBack(vbd, error);
      }),
    );

    it(
      'it becomes 5 while the device is being opened',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const store = beforeWriting(stage.store, 'physical-device', () =>
          stage.store.write(`${vbd.backendPath}/state`, '5'),
        );
        const error = await failure('ESTATE', stage.attachThrough(store, vbd));
        await stage.assertTakenBack(vbd, error);
        assert.deepEqual(stage.events(vbd, 'physical-device', 'opened'), []);
      }),
    );

    it(
      'it becomes 6 while blkback opens the device: it has the one that was meant',
      on({ hold: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const attempt = failure('ESTATE', stage.attach(vbd));
        await stage.logged(vbd, 'physical-device');
        await stage.store.write(`${vbd.backendPath}/state`, '6');
        const error = await attempt;
        const nodes = await stage.nodes(vbd, 'hotplug-status', 'hotplug-error', 'state', 'online');
        assert.deepEqual(nodes, ['error', error.message, '6', '0']);
        assert.notEqual(await stage.node(vbd, 'physical-device'), undefined);
        stage.blkback.kill('SIGUSR1');
        assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
      }),
    );

    it(
      'blkback is in no sysfs: this is not the backend domain',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const sysfs = stage.bed.images;
        const error = await failure('ESYSFS', stage.attach(vbd, { sysfs }));
        assert.match(error.message, /this has to be the backend domain/);
        await stage.assertTakenBack(vbd, error);
      }),
    );

    it(
      'blkback has a device open that no node speaks of',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        await stage.store.remove(`${vbd.backendPath}/physical-device`);
        const error = await failure('EOPEN', stage.attach(vbd));
        assert.match(error.message, /still has device 7:/);
        assert.equal(await stage.node(vbd, 'hotplug-error'), error.message);
        assert.equal(stage.events(vbd, 'opened').length, 1);
      }),
    );
  });

  describe('of blkback:', () => {
    for (const guise of ['stock', 'diskseq'] as const) {
      it(
        `a ${guise} one has not opened the device at the deadline: it may yet, and is given the time`,
        on({ guise, noOpen: true }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const start = performance.now();
          const error = await failure('ETIMEDOUT', stage.attach(vbd, { timeoutMs: SHORT_MS }));
          assertSpent(start);
          assert.match(error.message, /waiting for blkback to open \/dev\/loop\d+/);
          await stage.assertKept(vbd, error, only(stage.loops()));
          // The end of the vbd has been asked for, and that is what the next one meets.
          const { status, stderr, milliseconds } = await stage.script(vbd, 'add');
          assert.equal(status, 1);
          assert.match(stderr, /state 5 \(Closing\)/);
          assert.ok(milliseconds < 3000, `${milliseconds} ms`);
          // It is decided by the end of the vbd.
          await deleteVbd(stage.store, vbd);
          await stage.logged(vbd, 'removed');
          stage.assertNothingLeft();
        }),
      );
    }

    it(
      'its error has 4000 bytes and many lines: hotplug-error is one short line',
      on({ hold: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const text = `19 ${'creating\nvbd \u0007structure '.repeat(150)}`.slice(0, 4000);
        const attempt = failure('EBLKBACK', stage.attach(vbd));
        await stage.logged(vbd, 'physical-device');
        await stage.store.write(vbd.errorPath, text);
        const error = await attempt;
        assert.match(error.message, /19 creating/);
        assert.ok(error.message.length < 500, `${error.message.length} characters`);
        assert.doesNotMatch(error.message, /\p{Cc}/u);
        await stage.assertTakenBack(vbd, error);
        await release(stage, vbd);
      }),
    );
  });

  describe('a backend that is not there', () => {
    it(
      'is an error, and is not made by reporting it',
      on({}, async (stage) => {
        const path = 'backend/vbd/99/51712';
        await failure('EBACKEND', stage.attach(path));
        const { status, stderr } = await stage.script(path, 'add');
        assert.equal(status, 1);
        assert.match(stderr, /^xen-blkback: there is no backend backend\/vbd\/99\/51712 [^\n]*\n$/);
        assert.equal(onlyLine(stage), stderr.replace('xen-blkback: ', '').trim());
        assert.equal(await stage.exists('backend/vbd/99'), false);
      }),
    );

    it(
      'because it was removed while the device was being opened: it is not brought back',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const store = beforeWriting(stage.store, 'physical-device', () => stage.delete(vbd));
        await failure('EGONE', stage.attachThrough(store, vbd));
        assert.equal(await stage.exists(vbd.backendPath), false);
        stage.assertNothingLeft();
      }),
    );

    for (const guise of ['stock', 'diskseq'] as const) {
      it(
        `because it was removed while a ${guise} blkback opened the device: it is not brought back`,
        on({ guise, hold: true }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const attempt = failure('EGONE', stage.attach(vbd));
          await stage.logged(vbd, 'physical-device');
          await deleteVbd(stage.store, vbd);
          await attempt;
          assert.equal(await stage.exists(vbd.backendPath), false);
          // The open is under way, and meets the device that was meant.
          stage.blkback.kill('SIGUSR1');
          assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
          await stage.logged(vbd, 'closed');
          stage.assertNothingLeft();
        }),
      );
    }

    it(
      'any more when blkback is late to be ready: it is not brought back',
      on({ noProbe: true }, async (stage) => {
        const vbd = await stage.create(stage.image());
        const attempt = stage.attach(vbd, {
          onStep: (step) => step === 'planned' && void stage.delete(vbd),
        });
        await failure('EBACKEND', attempt);
        assert.equal(await stage.exists(vbd.backendPath), false);
        stage.assertNothingLeft();
      }),
    );
  });

  describe('of the environment:', () => {
    const CALLS: readonly (readonly [name: string, env: NodeJS.ProcessEnv, says: RegExp])[] = [
      ['XENBUS_PATH is missing', { XENBUS_PATH: undefined }, /no vbd is named.*XENBUS_PATH/],
      ['XENBUS_PATH is empty', { XENBUS_PATH: '' }, /no vbd is named/],
      ['XENBUS_PATH is nonsense', { XENBUS_PATH: '../../etc\nx' }, /is no backend path of a vbd/],
      ['XENBUS_PATH is that of a frontend', { XENBUS_PATH: 'device/vbd/1' }, /no backend path/],
      ['XENBUS_TYPE is vif', { XENBUS_TYPE: 'vif' }, /XENBUS_TYPE is "vif"/],
      ['XENBUS_BASE_PATH is nonsense', { XENBUS_BASE_PATH: 'x' }, /XENBUS_BASE_PATH is "x"/],
    ];
    for (const [name, env, says] of CALLS) {
      it(
        name,
        on({}, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const before = await stage.directory(vbd);
          for (const action of ['add', 'remove']) {
            const { status, stdout, stderr } = await stage.script(vbd, action, env);
            assert.deepEqual([status, stdout], [1, '']);
            assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
            assert.match(stderr, says);
          }
          assert.equal(logLines(stage).length, 2);
          assert.deepEqual(await stage.directory(vbd), before);
          stage.assertNothingLeft();
        }),
      );
    }

    for (const [variable, value] of [
      ['XEN_BLKBACK_TIMEOUT', 'soon'],
      ['XEN_BLKBACK_UAPI', 'both'],
      ['XEN_BLKBACK_RUN_DIR', 'run'],
    ] as const) {
      it(
        `${variable}=${value}: the toolstack is told as well`,
        on({}, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          await refusedByScript(stage, vbd, new RegExp(`"${value}"`), { [variable]: value });
        }),
      );
    }
  });
});

/** The library refuses: typed, told to the toolstack, quickly, and blkback saw nothing of it. */
async function refused(
  stage: Stage,
  vbd: Vbd,
  code: string,
  says: RegExp,
  own?: Loop,
  onStep?: (step: string) => void,
): Promise<Error> {
  const start = performance.now();
  const error = await failure(code, stage.attach(vbd, { timeoutMs: TIMEOUT_MS, onStep }));
  const spent = performance.now() - start;
  assert.match(error.message, says);
  assert.ok(spent < TIMEOUT_MS / 2, `${spent} ms`);
  const [status, told] = await reported(stage, vbd);
  assert.equal(status, 'error');
  if (error.message.length < 1000) assert.equal(told, error.message);
  assert.match(told ?? '', says, 'hotplug-error lacks what is wrong');
  assert.deepEqual(stage.events(vbd, 'physical-device', 'opened', 'failed'), []);
  assert.equal(await stage.node(vbd, 'physical-device'), undefined);
  stage.assertNothingLeft(...(own ? [own] : []));
  return error;
}

/** The script refuses: exit status, one line on stderr and in the log, and the nodes. */
async function refusedByScript(
  stage: Stage,
  vbd: Vbd,
  says: RegExp,
  env: NodeJS.ProcessEnv = {},
): Promise<{ milliseconds: number }> {
  const { status, stdout, stderr, milliseconds } = await stage.script(vbd, 'add', env);
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
  assert.match(stderr, says);
  assert.doesNotMatch(stderr.trimEnd(), /\p{Cc}/u);
  const sentence = stderr.trimEnd().replace('xen-blkback: ', '');
  assert.equal(onlyLine(stage), sentence);
  const [hotplugStatus, told = ''] = await reported(stage, vbd);
  assert.equal(hotplugStatus, 'error');
  assert.match(told, says);
  if (told.length < 1000) assert.ok(sentence.endsWith(told), `${sentence} / ${told}`);
  assert.equal(await stage.node(vbd, 'physical-device'), undefined);
  stage.assertNothingLeft();
  return { milliseconds };
}

/** It fails with EPUBLISHED, and whatever stood there stands there still. */
async function untouched(stage: Stage, vbd: Vbd, says: RegExp): Promise<void> {
  const ours = ['physical-device', 'physical-device-path', 'diskseq'];
  const before = await stage.nodes(vbd, ...ours);
  const loops = stage.loops();
  const error = await failure('EPUBLISHED', stage.attach(vbd));
  assert.match(error.message, says);
  assert.deepEqual(await stage.nodes(vbd, ...ours), before);
  assert.deepEqual(await reported(stage, vbd), ['error', error.message]);
  assert.deepEqual([stage.loops(), stage.records()], [loops, []]);
}

function reported(stage: Stage, vbd: Vbd): Promise<(string | undefined)[]> {
  return stage.nodes(vbd, 'hotplug-status', 'hotplug-error');
}

/** The lines of the project's log, without time and process. */
function logLines(stage: Stage): string[] {
  const { logFile } = stage.bed;
  if (!existsSync(logFile)) return [];
  const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.replace(/^\S+T\S+Z xen-blkback\[\d+\]: /, ''));
}

function onlyLine(stage: Stage): string {
  return only(logLines(stage));
}

/** The nodes that this program would have written for it. */
function published(loop: Loop): Record<string, string> {
  return {
    'physical-device': loop.devnum,
    'physical-device-path': loop.path,
    diskseq: BigInt(loop.diskseq).toString(16),
  };
}

/** Lets a held blkback have a try at the device that was taken back, and waits for its end. */
async function release(stage: Stage, vbd: Vbd): Promise<void> {
  stage.blkback.kill('SIGUSR1');
  await stage.blkback.waitFor(
    ({ vbd: key, event }) => key === vbd.key && ['opened', 'refused', 'failed'].includes(event),
  );
}

function link(stage: Stage, target: string): string {
  const path = inImages(stage, 'link');
  symlinkSync(target, path);
  return path;
}

function makeFifo(stage: Stage): string {
  const path = inImages(stage, 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
}

function assertSpent(start: number): void {
  const spent = performance.now() - start;
  assert.ok(spent < SHORT_MS + 300, `${spent} ms`);
}
