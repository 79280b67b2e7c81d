import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { attachLoopWithLetter, type Ground, GUISES, type Kind, withGround } from './ground.js';
import { assertBusy } from './guests.js';

/** Spellings that the kernel's `%x:%x` reads as one and the same number. */
const SPELLINGS: readonly (readonly [string, (major: string, minor: string) => string])[] = [
  ['in capitals', (major, minor) => `${major}:${minor}`.toUpperCase()],
  ['with 0x', (major, minor) => `0x${major}:0x${minor}`],
  ['with leading zeros', (major, minor) => `00${major}:000${minor}`],
  ['after a blank', (major, minor) => ` ${major}:${minor}`],
  ['with a blank in it', (major, minor) => `${major}: ${minor}`],
  ['before a blank', (major, minor) => `${major}:${minor} `],
  ['before a newline', (major, minor) => `${major}:${minor}\n`],
  ['before other words', (major, minor) => `${major}:${minor} junk`],
  ['before a NUL', (major, minor) => `${major}:${minor}\0`],
];

/**
 * Returns a device whose number has a letter in hex, the ground that another guest asks for, and a
 * function that ends the device.
 */
function deviceFor(ground: Ground) {
  const { kind, path, device } = ground;
  // The major number of mapper devices is 0xfe, which has letters.
  if (kind === 'mapper' && device) return { ground, ...device, end: () => undefined };
  const loop = attachLoopWithLetter(path);
  const end = () => void spawnSync('losetup', ['--detach', loop.path]);
  return { ground: kind === 'file' ? ground : { ...ground, path: loop.path }, ...loop, end };
}

/** Defines the tests of spellings for one kind of target. */
export function defineSpellings(kind: Kind): void {
  for (const guise of GUISES) {
    for (const [title, spell] of SPELLINGS) {
      it(
        `physical-device is written ${title}, by somebody else: another guest's add is refused (${guise})`,
        withGround(kind, { guise }, async (fixture, plain) => {
          const { ground, path, devnum, end } = deviceFor(plain);
          try {
            const [major = '', minor = ''] = devnum.split(':');
            const vbd = await fixture.vbd(path);
            await fixture.store.write(`${vbd.backendPath}/physical-device`, spell(major, minor));
            assert.equal((await fixture.logged(vbd, 'opened')).dev, devnum);
            await assertBusy(fixture, ground);
            const { stdout } = await fixture.cli(['list', '--json']);
            const numbers = [major, minor].map((part) => Number.parseInt(part, 16));
            assert.equal(JSON.parse(stdout).vbds[0].devnum, numbers.join(':'));
          } finally {
            end();
          }
        }),
      );
    }
  }
}
