import { execFileSync } from 'node:child_process';
import { errorCode, errorMessage } from '../../src/errors.js';
import { attach } from '../../src/hotplug/attach.js';
import { DEFAULT_OPTIONS } from '../../src/hotplug/default-options.js';
import { detach } from '../../src/hotplug/detach.js';
import { parseVbdPath, type VbdPath } from '../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import type { Bed } from './bed.js';
import { LateError } from './deadline.js';
import { closeVbd, createVbd, deleteVbd, type Vbd, waitInitWait } from './toolstack.js';

// The main job from end to end: a file is attached as a vbd through a real XenStore, by the real
// loop driver; only the kernel's blkback is played by test/bed/blkback.c.

const NODES = ['physical-device', 'physical-device-path', 'diskseq', 'hotplug-status'];

const start = performance.now();

export function say(actor: string, text: string): void {
  const ms = (performance.now() - start).toFixed(1).padStart(7);
  console.log(`${ms} ms  ${actor.padEnd(9)}  ${text}`);
}

export function show(title: string, lines: readonly string[]): void {
  console.log(`\n${title}`);
  for (const line of lines) console.log(`    ${line}`);
}

export function chapter(title: string, ...lines: readonly string[]): void {
  console.log(`\n${title}\n${'-'.repeat(title.length)}`);
  for (const line of lines) console.log(line);
  console.log('');
}

/** Returns a sentence for people about an error that has ended the demo. */
export function explainEnd(error: unknown): string {
  // The bed could not be cleared away either, and the first error says why.
  // Node.js 20 has no class for such an error.
  if (error instanceof Error && 'suppressed' in error) return explainEnd(error.suppressed);
  const message = errorMessage(error);
  const isLate = error instanceof LateError || errorCode(error) === 'ETIMEDOUT';
  if (!isLate) return `The demo has failed: ${message}`;
  return `The demo has been given up: ${message}. This machine is too slow or too busy just now: run the demo again when it does less.`;
}

/** A guest's disk, as a toolstack asks for it. */
export interface Disk {
  readonly made: Vbd;
  readonly vbd: VbdPath;
}

export class Demo {
  readonly #bed: Bed;
  readonly #store: Xenstore;
  /** Milliseconds from the begin of the last attach until blkback had opened the device. */
  opened = 0;

  constructor(bed: Bed, store: Xenstore) {
    this.#bed = bed;
    this.#store = store;
  }

  /** What a toolstack writes for a disk. */
  async make(frontend: number, params: string): Promise<Disk> {
    const made = await createVbd(this.#store, { frontend, devid: 51712, params });
    await waitInitWait(this.#store, made);
    say('toolstack', `made ${made.backendPath}, params=${params}`);
    const vbd = parseVbdPath(made.backendPath);
    if (vbd === undefined) throw new Error(`${made.backendPath} is not understood`);
    return { made, vbd };
  }

  get #places() {
    const { blkback, runDirectory } = this.#bed;
    return { ...DEFAULT_OPTIONS, timeoutMs: 10_000, sysfs: blkback.sysfs, runDirectory };
  }

  async attach({ vbd }: Disk): Promise<void> {
    const began = performance.now();
    await attach(this.#store, vbd, {
      ...this.#places,
      onStep: (step, detail) => {
        if (step === 'connected') this.opened = performance.now() - began;
        say('add', `${step}: ${detail}`);
      },
    });
  }

  async nodes({ vbd }: Disk, names: readonly string[]): Promise<string[]> {
    const values = await this.#store.readMany(names.map((name) => `${vbd.backend}/${name}`));
    return names.map((name, index) => `${name} = ${values[index]}`);
  }

  async detach({ made, vbd }: Disk): Promise<void> {
    await closeVbd(this.#store, made);
    say('toolstack', 'the guest has closed the disk, online=0');
    await detach(this.#store, vbd, {
      ...this.#places,
      onStep: (step, detail) => say('remove', `${step}: ${detail}`),
    });
    await deleteVbd(this.#store, made);
  }

  /** A toolstack takes back what has not come to anything. */
  async giveUp({ made }: Disk): Promise<void> {
    await closeVbd(this.#store, made);
    await deleteVbd(this.#store, made);
  }
}

export async function attachFile(bed: Bed, demo: Demo, image: string): Promise<Disk> {
  chapter(
    'A guest gets a disk',
    'A file becomes the disk xvda of guest 7. Each line is one step, with its time.',
  );
  const disk = await demo.make(7, image);
  await demo.attach(disk);
  show(`Below ${disk.vbd.backend} in XenStore:`, await demo.nodes(disk, NODES));
  const seen = await bed.blkback.waitFor((event) => event.event === 'opened');
  show('What blkback opened, by its own log:', [
    `device ${seen.dev} (hex), diskseq ${seen.diskseq}, ${seen.size} bytes`,
    `first bytes: ${seen.bytes?.replaceAll('\0', '')}`,
  ]);
  show('Loop device:', [execFileSync('losetup', ['-j', image], { encoding: 'utf8' }).trim()]);
  return disk;
}

export async function refuseWriter(demo: Demo, image: string): Promise<void> {
  chapter(
    'A second guest is refused',
    'Guest 8 asks for the same file, to write to it. Two guests that write to one disk destroy it.',
    'So this attach fails, and nothing is named to blkback.',
  );
  const second = await demo.make(8, image);
  const error = await demo.attach(second).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error('a second writer was let in');
  say('add', `failed: ${error.message}`);
  show(`Below ${second.vbd.backend} in XenStore, where guest 8 can read it:`, [
    ...(await demo.nodes(second, ['hotplug-status', 'hotplug-error'])),
    '(It names no other guest and no path of this host. Those are in the logs.)',
  ]);
  await demo.giveUp(second);
}

export async function attachLayer(demo: Demo, image: string): Promise<void> {
  chapter(
    'A layer goes with its guest',
    'layer=crypt puts an encrypted device over a file, as the disk of guest 9. The kernel draws its key,',
    'and nobody keeps it. When the guest goes, the kernel removes the layer and the loop device below.',
  );
  const disk = await demo.make(9, `path=${image},layer=crypt`);
  await demo.attach(disk);
  show('Mapper devices while the guest runs:', [listLayers()]);
  await demo.detach(disk);
  show('Mapper devices afterwards:', [listLayers()]);
}

const listLayers = (): string =>
  execFileSync('dmsetup', ['ls', '--target', 'crypt'], { encoding: 'utf8' }).trim();
