import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, linkSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { OwnedFd } from '../../../src/linux/fd.js';
import { tryLockByte } from '../../../src/linux/range-lock.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { assembleArray } from '../../bed/array.js';
import type { Bed } from '../../bed/bed.js';
import { attachLoop, type Loop, loopsLeft, loopsOf } from '../../bed/images.js';
import { plugLun } from '../../bed/lun.js';
import { createMapped, dmsetup, type MappedOptions } from '../../bed/mapper.js';
import { mountElsewhere } from '../../bed/mounts.js';
import { createVbd, deleteVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';
import type { Kin, Mode, SharingCase, Verdict } from './case.js';

const run = promisify(execFile);
const SIZE = 1024 * 1024;
/** The time limit of each wait. The speed does not matter here. */
const PATIENCE_MS = 30_000;

/** A program that attaches vbds: this project, or Xen's script. */
export interface Contender {
  /**
   * Attaches a vbd. The verdict is `busy`, with the reason, only if the refusal is for the sake of
   * other users of the device.
   */
  add(bed: Bed, store: Xenstore, vbd: Vbd): Promise<{ verdict: Verdict; reason: string }>;
  /** Tells whether the fixture has to detach the loop devices that are left. */
  readonly keepsLoops: boolean;
}

/** The fixture of one case. It undoes everything that was arranged when it is disposed. */
export class SharingFixture implements AsyncDisposable {
  readonly bed: Bed;
  readonly store: Xenstore;
  readonly directory: string;
  readonly first: number;
  readonly second: number;
  readonly #contender: Contender;
  readonly #undo: (() => Promise<unknown>)[] = [];
  #serial = 0;

  constructor(bed: Bed, store: Xenstore, contender: Contender, index: number) {
    this.bed = bed;
    this.store = store;
    this.#contender = contender;
    this.first = 100 + 2 * index;
    this.second = this.first + 1;
    this.directory = join(bed.images, String(index));
    mkdirSync(this.directory);
  }

  /** Makes a file of 1 MiB without holes, and returns its path. */
  file(content = 'x'): string {
    const path = join(this.directory, `file-${this.#serial++}.img`);
    writeFileSync(path, Buffer.alloc(SIZE, content));
    return path;
  }

  link(file: string): string {
    const path = join(this.directory, `link-${this.#serial++}.img`);
    linkSync(file, path);
    return path;
  }

  async loop(file: string, options: { offset?: number; readOnly?: boolean } = {}): Promise<Loop> {
    const loop = await attachLoop(file, options);
    this.#undo.push(() => loop.detach());
    return loop;
  }

  /** Makes a disk with two partitions of 256 KiB. */
  async partitioned(): Promise<{ disk: string; parts: readonly [string, string] }> {
    const { path } = await this.loop(this.file());
    return { disk: path, parts: await this.partitionsOf(path) };
  }

  /** Makes two partitions of 256 KiB on an existing disk. */
  async partitionsOf(path: string): Promise<readonly [string, string]> {
    await run('addpart', [path, '1', '512', '512']);
    await run('addpart', [path, '2', '1024', '512']);
    this.#undo.push(
      () => run('delpart', [path, '1']),
      () => run('delpart', [path, '2']),
    );
    const name = /\d$/.test(path) ? `${path}p` : path;
    return [`${name}1`, `${name}2`];
  }

  /** Sends a message to a mapper device. */
  async message(path: string, message: string): Promise<void> {
    await dmsetup('message', path, '0', message);
  }

  /** Makes a mapper device with this table, and returns its path. */
  async mapped(table: string, options: MappedOptions & { name?: string } = {}): Promise<string> {
    const name = options.name ?? `fixture-${this.first}-${this.#serial++}`;
    const mapped = await createMapped(name, table, options);
    this.#undo.push(() => mapped.remove());
    return mapped.path;
  }

  /** Plugs in one LUN that shows under two names. */
  async lunTwice(): Promise<readonly [string, string]> {
    const lun = await plugLun();
    this.#undo.push(() => lun.unplug());
    return lun.paths;
  }

  /** Makes the kernel take a SCSI disk for one whose path is down. */
  async offline(disk: string): Promise<void> {
    await writeFile(`/sys/block/${basename(disk)}/device/state`, 'offline\n');
  }

  /** Makes a RAID 1 of these devices, and returns its path. */
  async mirrored(...members: readonly string[]): Promise<string> {
    const array = await assembleArray(members);
    this.#undo.push(() => array.stop());
    return array.path;
  }

  async mount(device: string, mode: 'r' | 'w'): Promise<void> {
    const directory = join(this.directory, `mount-${this.#serial++}`);
    mkdirSync(directory);
    await run('mke2fs', ['-q', '-F', device]);
    await run('mount', ['-o', mode === 'r' ? 'ro' : 'rw', device, directory]);
    this.#undo.push(() => run('umount', [directory]));
  }

  /** Mounts a device in a mount namespace of another process. */
  async mountElsewhere(device: string): Promise<void> {
    await run('mke2fs', ['-q', '-F', device]);
    const mounted = await mountElsewhere(this.directory, device);
    this.#undo.push(async () => mounted[Symbol.asyncDispose]());
  }

  async swap(path: string): Promise<void> {
    await run('chmod', ['600', path]);
    await run('mkswap', [path]);
    await run('swapon', [path]);
    this.#undo.push(() => run('swapoff', [path]));
  }

  /** Locks these bytes of an image, as QEMU and cloud-hypervisor do while they have it open. */
  locked(file: string, bytes: readonly number[], exclusive: boolean): void {
    const image = OwnedFd.openSync(file, constants.O_RDWR);
    for (const byte of bytes) tryLockByte(image, BigInt(byte), exclusive);
    this.#undo.push(() => image.close());
  }

  /** Arranges that QEMU serves a disk to the first guest, and has it open. */
  async qdisk(file: string, mode: Mode): Promise<void> {
    await this.kin('other');
    const fd = openSync(file, mode === 'r' ? 'r' : 'r+');
    const path = `backend/qdisk/${this.first}/51712`;
    const frontend = `/local/domain/${this.first}/device/vbd/51712`;
    for (const [node, value] of Object.entries({ frontend, mode, params: `aio:${file}` })) {
      await this.store.write(`${path}/${node}`, value);
    }
    this.#undo.push(async () => {
      closeSync(fd);
      await this.store.remove(path);
    });
  }

  /** Starts another program that has a device open without O_EXCL. */
  async opened(device: string): Promise<void> {
    const fd = openSync(device, 'r');
    const program = spawn('sleep', ['1000'], { stdio: [fd, 'ignore', 'ignore'] });
    await once(program, 'spawn');
    closeSync(fd);
    this.#undo.push(async () => {
      program.kill('SIGKILL');
      await once(program, 'close');
    });
  }

  /** Opens a device exclusively, as mkfs and fsck do. */
  claim(device: string): void {
    const fd = openSync(device, constants.O_RDONLY | constants.O_EXCL);
    this.#undo.push(async () => closeSync(fd));
  }

  /** Writes the nodes that tell how the two guests are related. */
  async kin(kin: Kin): Promise<void> {
    const machine = (domid: number, nodes: Record<string, string>) =>
      Promise.all(
        Object.entries(nodes).map(([node, value]) =>
          this.store.write(`/local/domain/${domid}/${node}`, value),
        ),
      );
    const [one, two] = [`/vm/${this.first}`, `/vm/${this.second}`];
    const stub = (domid: number) => ({ target: String(domid) });
    const [firstMore, secondMore] = [
      kin === 'stub-of' ? stub(this.second) : {},
      kin === 'stub' ? stub(this.first) : {},
    ];
    if (kin !== 'gone') await machine(this.first, { name: 'one', vm: one, ...firstMore });
    const vm = kin === 'same' ? one : two;
    await machine(this.second, { name: 'two', vm, ...secondMore });
  }

  /** Attaches a disk to the first guest. Fails if the first guest does not get it. */
  async guest(params: string, mode: Mode, kin: Kin = 'other'): Promise<void> {
    await this.kin(kin);
    const { verdict, reason } = await this.add(this.first, params, mode);
    if (verdict !== 'free') throw new Error(`the first guest did not get ${params}: ${reason}`);
  }

  /** Creates a vbd of the first guest that has no device, as a toolstack that died leaves it. */
  async entry(nodes: Readonly<Record<string, string>>): Promise<void> {
    await this.kin('other');
    const options = { frontend: this.first, devid: 51712, params: '/dev/none', extra: nodes };
    // blkback opens nothing for a vbd in state 6.
    const vbd = await createVbd(this.store, { ...options, extra: { ...nodes, state: '6' } });
    this.#undo.push(() => deleteVbd(this.store, vbd));
  }

  async add(
    frontend: number,
    params: string,
    mode: Mode,
  ): Promise<{ verdict: Verdict; reason: string }> {
    const vbd = await createVbd(this.store, { frontend, devid: 51712, params, mode });
    this.#undo.push(async () => {
      await deleteVbd(this.store, vbd);
      const opened = this.bed.blkback.log().some(isOpened(vbd));
      if (opened) await this.bed.blkback.waitFor(isClosed(vbd), PATIENCE_MS);
      if (this.#contender.keepsLoops) await this.#dropLoops();
    });
    await waitInitWait(this.store, vbd, PATIENCE_MS);
    const answer = await this.#contender.add(this.bed, this.store, vbd);
    // Xen's script does not wait for blkback's open.
    if (answer.verdict === 'free') await this.bed.blkback.waitFor(isOpened(vbd), PATIENCE_MS);
    return answer;
  }

  async #dropLoops(): Promise<void> {
    for (const loop of loopsOf(this.directory)) {
      await run('losetup', ['--detach', loop]).catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const undo of this.#undo.reverse()) {
      await undo().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
    const left = await loopsLeft(this.directory);
    if (left.length > 0) throw new Error(`loop devices were left behind: ${left.join(', ')}`);
  }
}

const isOpened =
  (vbd: Vbd) =>
  (event: { readonly event: string; readonly vbd?: string }): boolean =>
    event.vbd === vbd.key && event.event === 'opened';

const isClosed =
  (vbd: Vbd) =>
  (event: { readonly event: string; readonly vbd?: string }): boolean =>
    event.vbd === vbd.key && event.event === 'closed';

/** Plays one case, and returns the result for the second guest. */
export async function play(
  bed: Bed,
  store: Xenstore,
  contender: Contender,
  index: number,
  row: SharingCase,
): Promise<{ verdict: Verdict; reason: string; second: number }> {
  await using setup = new SharingFixture(bed, store, contender, index);
  const { params, mode } = await row.arrange(setup);
  const answer = await setup.add(setup.second, params, mode);
  return { ...answer, second: setup.second };
}
