import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sample } from '../../bed/effort.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { skipByName } from '../../bed/skip.js';
import { CASES, DISK_CASES, inImages } from './bad-targets.js';
import { on } from './fixture.js';
import { refused, refusedByScript } from './refusals.js';

describe('bad input', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('fails with a sentence, in hotplug-error too, and touches no device, when', () => {
    for (const each of sample(CASES, 2)) {
      it(
        each.name,
        on({ guise: 'diskseq' }, async (fixture) => {
          const vbd = await fixture.vbd((await each.params?.(fixture)) ?? '/x', each.vbd);
          if (each.bytes) await fixture.store.write(`${vbd.backendPath}/params`, each.bytes);
          await refused(fixture, vbd, each.code, each.says);
          if (each.script) await refusedByScript(fixture, vbd, each.says);
        }),
      );
    }

    for (const each of DISK_CASES) {
      it(
        each.name,
        on({ guise: 'diskseq' }, async (fixture) => {
          await using loop = await attachLoop(fixture.image(), {
            readOnly: each.readOnly ?? false,
          });
          const vbd = await fixture.vbd(each.params(loop));
          await refused(fixture, vbd, each.code, each.says, loop);
          await loop.detach();
        }),
      );
    }

    it(
      'a loop device has nothing behind it',
      on({ guise: 'diskseq' }, async (fixture) => {
        const { path, detach } = await attachLoop(fixture.image());
        await detach();
        const vbd = await fixture.vbd(path);
        await refused(fixture, vbd, 'ENXIO', /loop/);
      }),
    );

    it(
      'the file vanishes after it was planned with',
      on({}, async (fixture) => {
        const image = fixture.image();
        const vbd = await fixture.vbd(image);
        await refused(fixture, vbd, 'ENOENT', /no such file/, undefined, (step) => {
          if (step === 'planned') rmSync(image);
        });
      }),
    );

    it(
      'the file becomes a FIFO after it was planned with: it does not wait for a writer',
      on({}, async (fixture) => {
        const image = fixture.image();
        const vbd = await fixture.vbd(image);
        await refused(fixture, vbd, 'ENOTDISK', /is a FIFO/, undefined, (step) => {
          if (step !== 'planned') return;
          rmSync(image);
          execFileSync('mkfifo', [image]);
        });
      }),
    );

    it(
      'an immutable file is to be written',
      on({}, async (fixture, context) => {
        const image = fixture.image();
        try {
          execFileSync('chattr', ['+i', image], { stdio: 'ignore' });
        } catch {
          skipByName(context, 'no file can be made immutable');
        }
        try {
          const vbd = await fixture.vbd(image);
          await refused(fixture, vbd, 'EPERM', /not permitted.*immutable/);
          await fixture.attach(await fixture.vbd(image, { mode: 'r' }));
        } finally {
          execFileSync('chattr', ['-i', image]);
        }
      }),
    );

    it(
      'a file on a file system that is mounted read-only is to be written',
      on({}, async (fixture) => {
        const directory = inImages(fixture, 'mount');
        mkdirSync(directory);
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory]);
        try {
          const image = join(directory, 'image');
          writeFileSync(image, Buffer.alloc(4096, 'x'));
          execFileSync('mount', ['-o', 'remount,ro', directory]);
          const vbd = await fixture.vbd(image);
          await refused(fixture, vbd, 'EREADONLY', /mode w/);
          const readable = await fixture.vbd(image, { mode: 'r' });
          await fixture.attach(readable);
          await fixture.delete(readable);
        } finally {
          execFileSync('umount', [directory]);
        }
      }),
    );
  });
});
