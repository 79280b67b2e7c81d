import { join } from 'node:path';
import { startBed } from './bed.js';
import {
  attachFile,
  attachLayer,
  chapter,
  Demo,
  explainEnd,
  refuseWriter,
  say,
  show,
} from './demo-story.js';
import { loopsLeft, makeImage } from './images.js';
import { missing } from './needs.js';
import { projectRoot } from './paths.js';
import { openStore } from './store.js';
import { boot } from './uml/boot.js';

// npm run demo. Shows the main job from end to end: attaches a file as a vbd through a real XenStore and
// the real loop driver. Only the kernel's blkback is replaced, by test/bed/blkback.c.

if (process.getuid?.() !== 0) {
  console.error('The demo makes a loop device: run it as root.');
  process.exit(1);
}

async function run(): Promise<void> {
  await using bed = await startBed({ guise: 'stock' });
  await using store = await openStore(bed);
  const demo = new Demo(bed, store);
  const marker = 'Hello from the disk of domain 7';
  const image = makeImage(bed.images, { marker, size: 64 << 20 });
  say('bed', 'xenstored and a stand-in for a stock blkback are running');
  const disk = await attachFile(bed, demo, image);
  const { opened } = demo;
  await refuseWriter(demo, image);
  chapter('The first guest ends', 'Its disk is taken away. The loop device goes by itself.');
  await demo.detach(disk);
  if (missing('mapper') === undefined) await attachLayer(demo, image);
  else await attachLayerElsewhere();
  const left = await loopsLeft(bed.images);
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
  show('Done:', [
    `opened by blkback ${opened.toFixed(1)} ms after add began`,
    'no loop device is left',
  ]);
}

/** This kernel has no device-mapper: in a Linux that has. */
async function attachLayerElsewhere(): Promise<void> {
  const reason = missing('uml');
  if (reason !== undefined) {
    console.log(`A layer cannot be shown here: there is no device-mapper, and ${reason}.`);
    return;
  }
  console.log('\n(This kernel has no device-mapper. User-Mode Linux is booted for the next part.)');
  const files = [join(projectRoot, 'dist/test/integration/mapper/demo.uml.js')];
  await using machine = boot({ files, env: {} });
  for await (const event of machine.events()) {
    if (event.event === 'said') console.log(event.text);
    if (event.event === 'failed') throw new Error(event.message);
  }
}

try {
  await run();
} catch (error) {
  console.error(`\n${explainEnd(error)}`);
  process.exit(1);
}
