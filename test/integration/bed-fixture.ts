import { join } from 'node:path';
import { type Bed, startBed } from '../bed/bed.js';
import type { BlkbackBehaviour, BlkbackEvent } from '../bed/blkback.js';
import { attachLoop, type Loop, makeImage } from '../bed/images.js';
import { createVbd, type Vbd, type VbdOptions, waitInitWait } from '../bed/toolstack.js';

/** The first bytes of the image. */
export const MARKER = 'the right disk';

/** A bed and a loop device of its own, and vbds that wait for that device. */
export class BedFixture implements AsyncDisposable {
  readonly bed: Bed;
  /** The loop device that the vbds are to get. A test may put the next one here. */
  loop: Loop;

  private constructor(bed: Bed, loop: Loop) {
    this.bed = bed;
    this.loop = loop;
  }

  /** Starts a bed whose blkback behaves so, and binds a loop device to an image with the marker. */
  static async start(behaviour: BlkbackBehaviour = {}): Promise<BedFixture> {
    const bed = await startBed(behaviour);
    try {
      const loop = await attachLoop(makeImage(bed.images, { marker: MARKER }));
      return new BedFixture(bed, loop);
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Creates a vbd and waits until blkback waits for its device. */
  async vbd(options: Partial<VbdOptions> = {}): Promise<Vbd> {
    const usual = { frontend: 7, devid: 51712, params: this.loop.path };
    const vbd = await createVbd(this.bed.tools, { ...usual, ...options });
    await waitInitWait(this.bed.tools, vbd);
    return vbd;
  }

  /** Writes `physical-device`, and a diskseq in hex before it where one is given. */
  async publish(vbd: Vbd, device: string, diskseq?: string): Promise<void> {
    await this.bed.tools.write({
      ...(diskseq === undefined ? {} : { [`${vbd.backendPath}/diskseq`]: diskseq }),
      [`${vbd.backendPath}/physical-device`]: device,
    });
  }

  /** Waits for the first such event of the vbd, or for the first one after another event. */
  logged(vbd: Vbd, event: BlkbackEvent['event'], after?: BlkbackEvent): Promise<BlkbackEvent> {
    return this.bed.blkback.waitFor(
      (line) => line.vbd === vbd.key && line.event === event && line.time > (after?.time ?? 0),
      5000,
      `${event} ${vbd.key}`,
    );
  }

  /** Returns how many times blkback has opened a device for the vbd. */
  openings(vbd: Vbd): number {
    const lines = this.bed.blkback.log();
    return lines.filter((line) => line.event === 'opened' && line.vbd === vbd.key).length;
  }

  /** Reads a node of the backend; `undefined` if there is none. */
  node(vbd: Vbd, name: string): Promise<string | undefined> {
    return this.bed.tools.text(`${vbd.backendPath}/${name}`);
  }

  /** Returns the path of the vbd's device in sysfs, or of an attribute of it. */
  sysfs(vbd: Vbd, attribute = ''): string {
    const devices = join(this.bed.blkback.sysfs, 'bus/xen-backend/devices');
    return join(devices, `vbd-${vbd.key.replace('/', '-')}`, attribute);
  }

  /** The diskseq of the loop device in hex, as blkback reads it. */
  get diskseq(): string {
    return BigInt(this.loop.diskseq).toString(16);
  }

  /** A diskseq in hex that the loop device does not have. */
  get wrongDiskseq(): string {
    return (BigInt(this.loop.diskseq) + 1n).toString(16);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.loop.detach();
    await this.bed[Symbol.asyncDispose]();
  }
}
