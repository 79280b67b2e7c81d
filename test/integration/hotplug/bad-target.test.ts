import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sample } from '../../bed/effort.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { CASES, DISK_CASES, inImages } from './bad-targets.js';
import { refused, refusedByScript } from './refusals.js';
import { on } from './stage.js';

describe('bad input', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('fails with a sentence, in hotplug-error too, and touches no device, when', () => {
    for (const each of sample(CASES, 2)) {
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
});
