import assert from 'node:assert/strict';
import { DEFAULT_TIMEOUT_S, parseSettings, type SettingName } from '../../../src/cli/settings.js';

const TEXTS = {
  timeout: '30',
  uapi: 'key',
  sharing: 'deny',
  'same-vm': 'check',
  'udev-refresh': 'no',
  sysfs: '/sys',
  'run-dir': '/run/xen-blkback',
  log: '/var/log/xen/xen-hotplug.log',
  verbose: 'no',
};

const parse = (name: SettingName, text: string) => parseSettings({ ...TEXTS, [name]: text });

describe('parseSettings', () => {
  it('reads every setting', () => {
    assert.deepEqual(
      parseSettings({
        timeout: '1.5',
        uapi: 'inline',
        sharing: 'allow',
        'same-vm': 'assume',
        'udev-refresh': 'yes',
        sysfs: '/s',
        'run-dir': '/r',
        log: '/l',
        verbose: 'yes',
      }),
      {
        timeoutMs: 1500,
        uapi: 'inline',
        sharing: 'allow',
        sameVm: 'assume',
        udevRefresh: true,
        sysfs: '/s',
        runDirectory: '/r',
        log: '/l',
        verbose: true,
      },
    );
  });

  for (const [text, ms] of [
    ['0.1', 100],
    ['1', 1000],
    ['1.001', 1001],
    ['4.35', 4350],
    ['040', 40_000],
    ['86400', 86_400_000],
  ] as const) {
    it(`reads a timeout of ${text} s as ${ms} ms`, () => {
      assert.equal(parse('timeout', text).timeoutMs, ms);
    });
  }

  const refused: readonly (readonly [SettingName, string])[] = [
    ...['', '0', '0.05', '-1', '86400.1', '100000', '1e3', '0x10', '1s', ' 1', '1.', '.5'].map(
      (text) => ['timeout', text] as const,
    ),
    ...['NaN', 'Infinity', '1.0005', '1,5', '1\n'].map((text) => ['timeout', text] as const),
    ...['', 'Key', 'inline ', 'both', '__proto__'].map((text) => ['uapi', text] as const),
    ...['', 'sys', './sys', '~', '/a\0b'].map((text) => ['sysfs', text] as const),
    ['same-vm', 'yes'],
    ['udev-refresh', 'true'],
    ['run-dir', 'run'],
    ['log', 'log'],
  ];
  for (const [name, text] of refused) {
    it(`refuses ${name} ${JSON.stringify(text)}, naming both`, () => {
      assert.throws(
        () => parse(name, text),
        (error: Error) => {
          assert.equal(error.name, 'UsageError');
          assert.equal('code' in error && error.code, 'EUSAGE');
          assert.ok(error.message.startsWith(`${name} ${JSON.stringify(text)}: `), error.message);
          return true;
        },
      );
    });
  }
});

describe('The time that is built in', () => {
  it('ends well before libxl kills a hotplug script, after 40 s', () => {
    assert.ok(DEFAULT_TIMEOUT_S <= 35);
  });
});
