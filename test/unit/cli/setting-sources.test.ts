import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  describeOldFile,
  interpretFiles,
  NAMES,
  readConfigFiles,
} from '../../../src/cli/read-config.js';
import {
  listSettings,
  loadDaemonSettings,
  loadSettings,
} from '../../../src/cli/setting-sources.js';
import { temporaryDirectory } from '../../bed/paths.js';

const FILE = '/etc/xen/xen-blkback.conf';
const filesOf = (text?: string, old?: string) => interpretFiles(FILE, text, old);
const none = filesOf();

describe('loadSettings', () => {
  it('falls back to the built-in values', () => {
    assert.deepEqual(loadSettings({}, {}, none), {
      timeoutMs: 30_000,
      uapi: 'key',
      sharing: 'deny',
      sameVm: 'check',
      udevRefresh: false,
      sysfs: '/sys',
      runDirectory: '/run/xen-blkback',
      log: '/var/log/xen/xen-hotplug.log',
      verbose: false,
    });
    assert.deepEqual(loadDaemonSettings({}, {}, none), {
      socket: '/run/xen-blkback/control.sock',
      scripts: ['block-diskseq'],
      all: false,
      output: undefined,
    });
  });

  it('takes the command line before the environment, that before the file, that before the old file', () => {
    const files = filesOf(
      'timeout=20\nuapi=inline\n',
      'XEN_BLKBACK_TIMEOUT=10\nXEN_BLKBACK_LOG=/o\n',
    );
    const environment = { XEN_BLKBACK_TIMEOUT: '5', XEN_BLKBACK_UAPI: '' };
    const timeoutOf = (env: NodeJS.ProcessEnv, given = {}, from = files) =>
      loadSettings(env, given, from).timeoutMs;
    assert.equal(timeoutOf(environment, { timeout: '1' }), 1000);
    assert.equal(timeoutOf(environment), 5000);
    assert.equal(timeoutOf({}), 20_000);
    assert.equal(timeoutOf({}, {}, filesOf('', 'XEN_BLKBACK_TIMEOUT=10')), 10_000);
    // A variable that is set to an empty text counts as not set.
    assert.equal(loadSettings(environment, {}, files).uapi, 'inline');
    assert.equal(loadSettings({}, {}, files).log, '/o');
  });

  it('reads each setting from a key of its name, and from a variable of its name', () => {
    const texts: Record<string, string> = {
      ...{ timeout: '7', uapi: 'inline', sharing: 'read-only', 'same-vm': 'assume' },
      ...{ 'udev-refresh': 'yes', sysfs: '/s', 'run-dir': '/r', log: '/l', verbose: 'yes' },
      ...{ socket: '/c', scripts: 'a,b', all: 'yes', output: '/o' },
    };
    assert.deepEqual(Object.keys(texts), NAMES);
    const text = NAMES.map((name) => `${name}=${texts[name]}\n`).join('');
    const environment = Object.fromEntries(
      NAMES.map((name) => [`XEN_BLKBACK_${name.toUpperCase().replaceAll('-', '_')}`, texts[name]]),
    );
    const byFile = listSettings({}, filesOf(text)).map(({ text }) => text);
    const byVariable = listSettings(environment, none).map(({ text }) => text);
    assert.deepEqual(byFile, Object.values(texts));
    assert.deepEqual(byVariable, Object.values(texts));
    assert.deepEqual(loadDaemonSettings({}, {}, filesOf(text)), {
      ...{ socket: '/c', scripts: ['a', 'b'], all: true, output: '/o' },
    });
  });

  it('refuses a variable that makes no sense', () => {
    assert.throws(() => loadSettings({ XEN_BLKBACK_TIMEOUT: 'soon' }, {}, none), {
      code: 'EUSAGE',
      message: /^timeout "soon": /,
    });
  });

  for (const [text, says] of [
    ['timeout=soon', 'timeout "soon": seconds from 0.1 to 86400 are needed'],
    ['\ntimeuot=20', 'there is no setting "timeuot": did you mean timeout?'],
    ['XEN_BLKBACK_TIMEOUT=20', 'there is no setting "XEN_BLKBACK_TIMEOUT"'],
    ['__proto__=20', 'there is no setting "__proto__"'],
    ['timeout=20\n\ntimeout=20', 'timeout is set in line 1 already'],
    ['scripts=/etc/xen/scripts/block', 'scripts "/etc/xen/scripts/block": names of files'],
    [`socket=/${'x'.repeat(107)}`, 'at most 107 bytes are possible'],
    ['all=true', 'all "true": yes or no is needed'],
    ['nonsense', 'KEY=VALUE is expected, not "nonsense"'],
  ] as const) {
    it(`refuses the file ${JSON.stringify(text.slice(0, 40))}, also where it is overridden`, () => {
      const number = text.split('\n').length;
      for (const load of [loadSettings, loadDaemonSettings]) {
        assert.throws(
          () => load({ XEN_BLKBACK_TIMEOUT: '5' }, { timeout: '4' }, filesOf(text)),
          (error: Error) => {
            assert.ok(error.message.startsWith(`${FILE} line ${number}: `), error.message);
            assert.ok(error.message.includes(says), error.message);
            return 'code' in error && error.code === 'ECONFIG';
          },
        );
      }
    });
  }

  it('tells where each value comes from', () => {
    const files = filesOf('\nuapi=key\n', '# old\nXEN_BLKBACK_LOG=/l\n');
    const found = listSettings({ XEN_BLKBACK_TIMEOUT: '5' }, files);
    const placeOf = (wanted: string) => {
      const setting = found.find(({ name }) => name === wanted);
      return setting?.place ?? setting?.source;
    };
    assert.equal(placeOf('timeout'), 'XEN_BLKBACK_TIMEOUT');
    assert.equal(placeOf('uapi'), `${FILE} line 2`);
    assert.equal(placeOf('log'), '/etc/default/xen-blkback line 2');
    assert.equal(placeOf('sharing'), 'built in');
  });
});

describe('The old file', () => {
  const read = (old: string, text = '') => filesOf(text, old);

  it('is read as systemd did', () => {
    const files = read('#XEN_BLKBACK_TIMEOUT=1\n;x\nXEN_BLKBACK_TIMEOUT="20"\nnonsense\nFOO=\n');
    assert.equal(loadSettings({}, {}, files).timeoutMs, 20_000);
  });

  it('gives its options of the daemon to settings of the same meaning', () => {
    const files = read('XEN_BLKBACK_OPTIONS="-v --all --scripts a,b --timeout=9"\n');
    const { timeoutMs, verbose } = loadSettings({}, {}, files);
    assert.equal(timeoutMs, 9000);
    const { all, scripts } = loadDaemonSettings({}, {}, files);
    assert.deepEqual([all, verbose, scripts], [true, true, ['a', 'b']]);
  });

  it('is refused with file and line where a value of it would count and makes no sense', () => {
    assert.throws(() => loadSettings({}, {}, read('\nXEN_BLKBACK_TIMEOUT=soon\n')), {
      code: 'ECONFIG',
      message: /^\/etc\/default\/xen-blkback line 2: timeout "soon": /,
    });
  });

  it('is named as deprecated where it sets anything, with what to write where', () => {
    assert.equal(describeOldFile(read('# XEN_BLKBACK_TIMEOUT=1\n')), undefined);
    assert.equal(
      describeOldFile(
        read('XEN_BLKBACK_TIMEOUT=20\nXEN_BLKBACK_SAME_VM=assume\nNODE_OPTIONS=-x\n'),
      ),
      `/etc/default/xen-blkback is deprecated: write timeout=20 and same-vm=assume into ${FILE}, then know that NODE_OPTIONS in it has no effect, then remove it`,
    );
  });
});

describe('readConfigFiles', () => {
  let directory: string;
  before(() => {
    directory = temporaryDirectory();
  });
  after(() => rmSync(directory, { recursive: true }));

  it('reads the file that XEN_BLKBACK_CONFIG names', () => {
    const file = join(directory, 'a.conf');
    writeFileSync(file, 'timeout=3\n');
    assert.equal(loadSettings({ XEN_BLKBACK_CONFIG: file }).timeoutMs, 3000);
  });

  it('refuses one that is not there, and one that is no file', () => {
    const missing = join(directory, 'missing.conf');
    assert.throws(() => loadSettings({ XEN_BLKBACK_CONFIG: missing }), {
      code: 'ECONFIG',
      message: `${missing}, which XEN_BLKBACK_CONFIG names, does not exist`,
    });
    const [error] = readConfigFiles({ XEN_BLKBACK_CONFIG: directory }).errors;
    assert.match(
      error?.message ?? '',
      / is no regular file: a configuration file is expected there/,
    );
  });
});
