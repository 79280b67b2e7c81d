import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, startProgram } from '../../bed/script.js';
import type { HotplugFixture, VbdChange } from '../hotplug/fixture.js';
import { type Bench, dmsetupNow, withMapper } from './bench.js';

interface Case {
  readonly name: string;
  /** Makes the faulty target, and returns `params`. */
  readonly params: (bench: Bench, fixture: HotplugFixture) => string | Promise<string>;
  readonly vbd?: VbdChange;
  readonly code: string;
  readonly says: RegExp;
  /** Runs the script too, and checks what it prints. */
  readonly script?: true;
}

const CASES: readonly Case[] = [
  {
    name: 'there is no mapper device of that name',
    params: () => 'dm-name=bench-none',
    code: 'ENOENT',
    says: /there is no mapper device with dm-name=bench-none/,
    script: true,
  },
  {
    name: 'there is none with that UUID',
    params: () => 'dm-uuid=BENCH-none',
    code: 'ENOENT',
    says: /there is no mapper device with dm-uuid=BENCH-none/,
    script: true,
  },
  {
    name: 'a name is taken for a UUID',
    params: async (bench) =>
      `dm-uuid=${(await bench.linear('x', { name: 'bench-x', uuid: 'BENCH-x' })).name}`,
    code: 'ENOENT',
    says: /there is no mapper device with dm-uuid=bench-x/,
  },
  ...['a/b', 'control', '.', '..'].map(
    (name): Case => ({
      name: `the name is ${name}`,
      params: () => `dm-name=${name}`,
      code: 'ETARGET',
      says: /cannot be the name of a mapper device/,
    }),
  ),
  {
    name: 'the name has 128 bytes',
    params: () => `dm-name=${'n'.repeat(128)}`,
    code: 'ETARGET',
    says: /room for 127 bytes/,
  },
  {
    name: 'the UUID has 2000 bytes',
    params: () => `dm-uuid=${'u'.repeat(2000)}`,
    code: 'ETARGET',
    says: /room for 128 bytes/,
  },
  {
    name: 'the name has control characters',
    params: () => 'dm-name=a\n\u001b[31mb',
    code: 'ETARGET',
    says: /control characters/,
    script: true,
  },
  {
    name: 'the path is that of the mapper itself',
    params: () => '/dev/mapper/control',
    code: 'ETARGET',
    says: /control/,
  },
  {
    name: 'the device has no table',
    params: async (bench) => (await bench.mapped('bench-x', '', { notable: true })).name,
    code: 'ENOTABLE',
    says: /mapper device bench-x has no live table/,
    script: true,
  },
  {
    name: 'its table has been loaded, but is not live',
    params: async (bench) => {
      const disk = await bench.disk('x');
      const mapped = await bench.mapped('bench-x', '', { notable: true });
      dmsetupNow('load', mapped.name, '--table', linear(disk.path));
      return mapped.name;
    },
    code: 'ENOTABLE',
    says: /mapper device bench-x has no live table/,
  },
  {
    name: 'a loop device is to be deferred',
    params: async (bench) => `path=${(await bench.disk('x')).path},deferred-remove=yes`,
    code: 'ENOTMAPPER',
    says: /deferred-remove can only be set for a mapper device/,
  },
  {
    name: 'a file is to be deferred',
    params: (_bench, fixture) => `path=${fixture.image()},deferred-remove=yes`,
    code: 'ENOTMAPPER',
    says: /deferred-remove can only be set for a mapper device/,
  },
  {
    name: 'a layer is to be made of an empty file',
    params: (_bench, fixture) => `path=${fixture.image('', { size: 0 })},layer=crypt`,
    code: 'EWINDOW',
    says: /less than one block/,
  },
  {
    name: 'a layer is to be made of a file that is smaller than a sector',
    params: (_bench, fixture) => `path=${fixture.image('x', { size: 100 })},layer=linear`,
    code: 'EWINDOW',
    says: /less than one block/,
  },
  {
    name: 'a layer is to be made of a device that is not a multiple of its sectors',
    params: async (bench) => {
      const disk = await bench.disk('x', { sectorSize: 4096, size: 1024 * 1024 + 512 });
      return `path=${disk.path},layer=crypt`;
    },
    code: 'EWINDOW',
    says: /not a multiple of its block size 4096/,
    script: true,
  },
];

describe('bad input about mapper devices', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const { name, params, vbd: change, code, says, script } of CASES) {
    it(
      `${name}: a sentence, ${script ? 'exit 1, ' : ''}nothing is left`,
      withMapper({}, async (fixture, bench) => {
        const value = await params(bench, fixture);
        const target = /[=/]/.test(value) ? value : `dm-name=${value}`;
        const vbd = await fixture.vbd(target, change);
        const error = await failure(code, fixture.attach(vbd));
        assert.match(error.message, says);
        await fixture.assertTakenBack(vbd, error);
        if (script) {
          const { status, stdout, stderr } = await fixture.script(vbd, 'add');
          assert.deepEqual([status, stdout], [1, '']);
          assert.match(stderr, says);
          assert.match(stderr.trimEnd(), /^[^\n]*$/);
          await fixture.assertTakenBack(vbd, error);
        }
        assert.deepEqual(fixture.events(vbd, 'opened'), []);
      }),
    );
  }

  it(
    'the privilege is missing: a sentence, exit 1, nothing is left',
    withMapper({}, async (fixture, bench) => {
      const { name } = await bench.linear('x');
      for (const params of [`dm-name=${name}`, `path=${fixture.image()},layer=crypt`]) {
        const vbd = await fixture.vbd(params);
        const drop = ['--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin'];
        const env = { ...fixture.bed.env, ...libxlEnvironment(vbd.backendPath) };
        const run = startProgram('setpriv', [...drop, HOTPLUG_SCRIPT, 'add'], env);
        const { status, stderr } = await run.ended;
        assert.equal(status, 1);
        assert.match(stderr, /permission|privilege|not permitted/i);
        fixture.assertNothingLeft();
      }
    }),
  );

  for (const [request, what] of [
    ['c138fd03', 'making the device'],
    ['c138fd09', 'loading the table'],
    ['c138fd06', 'resuming it'],
  ] as const) {
    it(
      `${what} fails for want of memory: a sentence, exit 1, nothing is left`,
      withMapper({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},layer=crypt`);
        const { status, stderr } = await fixture.script(vbd, 'add', {
          LD_PRELOAD: built('fail-ioctl.so'),
          FAIL_REQUEST: request,
          FAIL_ERRNO: '12',
        });
        assert.equal(status, 1);
        assert.match(stderr, /memory/);
        assert.match(stderr.trimEnd(), /^[^\n]*$/);
        assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
      }),
    );
  }
});
