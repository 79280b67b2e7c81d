import { execFileSync } from 'node:child_process';
import { attach } from '../../src/hotplug/attach.js';
import { detach } from '../../src/hotplug/detach.js';
import { parseVbdPath } from '../../src/vbd/vbd-path.js';
import { startBed } from './bed.js';
import { loopsLeft, makeImage } from './images.js';
import { openStore } from './store.js';
import { closeVbd, createVbd, deleteVbd, waitInitWait } from './toolstack.js';

// Shows the main job from end to end: attaches a file as a vbd through a real XenStore and the real
// loop driver. Only the kernel's blkback is replaced, by test/bed/blkback.c.

const NODES = ['physical-device', 'physical-device-path', 'diskseq', 'hotplug-status'];

if (process.getuid?.() !== 0) {
  console.error('The demo makes a loop device: run it as root.');
  process.exit(1);
}

const start = performance.now();
let opened = 0;

function say(actor: string, text: string): void {
  const ms = (performance.now() - start).toFixed(1).padStart(7);
  console.log(`${ms} ms  ${actor.padEnd(9)}  ${text}`);
}

function show(title: string, lines: readonly string[]): void {
  console.log(`\n${title}`);
  for (const line of lines) console.log(`    ${line}`);
  console.log('');
}

async function demo(): Promise<void> {
  await using bed = await startBed({ guise: 'stock' });
  await using store = await openStore(bed);
  const image = makeImage(bed.images, {
    marker: 'Hello from the disk of domain 7',
    size: 64 << 20,
  });
  say('bed', 'xenstored and a stand-in for a stock blkback are running');

  const made = await createVbd(store, { frontend: 7, devid: 51712, params: image });
  await waitInitWait(store, made);
  say('toolstack', `made ${made.backendPath}, params=${image}`);
  const vbd = parseVbdPath(made.backendPath);
  if (vbd === undefined) throw new Error(`${made.backendPath} is not understood`);
  const places = { timeoutMs: 10_000, sysfs: bed.blkback.sysfs, runDirectory: bed.runDirectory };

  const began = performance.now();
  await attach(store, vbd, {
    ...places,
    uapi: 'key',
    onStep(step, detail) {
      if (step === 'connected') opened = performance.now() - began;
      say('add', `${step}: ${detail}`);
    },
  });
  const nodes = await store.readMany(NODES.map((node) => `${vbd.backend}/${node}`));
  show(
    `Below ${vbd.backend}:`,
    NODES.map((node, index) => `${node} = ${nodes[index]}`),
  );
  const seen = await bed.blkback.waitFor((event) => event.event === 'opened');
  show('What blkback opened, by its own log:', [
    `device ${seen.dev} (hex), diskseq ${seen.diskseq}, ${seen.size} bytes`,
    `first bytes: ${seen.bytes?.replaceAll('\0', '')}`,
  ]);
  show('Loop device:', [execFileSync('losetup', ['-j', image], { encoding: 'utf8' }).trim()]);

  await closeVbd(store, made);
  say('toolstack', 'the guest has closed the disk, online=0');
  await detach(store, vbd, {
    ...places,
    onStep: (step, detail) => say('remove', `${step}: ${detail}`),
  });
  await deleteVbd(store, made);

  const left = await loopsLeft(bed.images);
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
  show('Done:', [
    `opened by blkback ${opened.toFixed(1)} ms after add began`,
    'no loop device is left',
  ]);
}

await demo();
