import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, linkSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OwnedFd } from '../../../src/linux/fd.js';
import { tryLockByte } from '../../../src/linux/range-lock.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { assembleArray } from '../../bed/array.js';
import type { Bed } from '../../bed/bed.js';
import { attachLoop, type Loop, loopsLeft, loopsOf } from '../../bed/images.js';
import { plugLun } from '../../bed/lun.js';
import { createMapped, dmsetup, type MappedOptions } from '../../bed/mapper.js';
import { createVbd, deleteVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';
import type { Kin, Mode, SharingCase, Verdict } from './case.js';

const run = promisify(execFile);
const SIZE = 1024 * 1024;
/** Of each wait; how fast it is, is no matter here. */
const PATIENCE_MS = 30_000;

/** What attaches vbds: this project, or Xen's script. */
export interface Contender {
  /** Attaches it; `busy`, with the reason, only for a refusal because others use the device. */
  add(bed: Bed, store: Xenstore, vbd: Vbd): Promise<{ verdict: Verdict; reason: string }>;
  /** Whether what it leaves behind is for the setup to clean up. */
  readonly keepsLoops: boolean;
}

/** The fixture of one case: what was arranged ends with it. */
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

  /** A file of 1 MiB without holes. */
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

  /** Two partitions of 256 KiB on a disk. */
  async partitioned(): Promise<{ disk: string; parts: readonly [string, string] }> {
    const { path } = await this.loop(this.file());
    return { disk: path, parts: await this.partitionsOf(path) };
  }

  /** The same on a disk that is there. */
  async partitionsOf(path: string): Promise<readonly [string, string]> {
    await run('addpart', [path, '1', '512', '512']);
    await run('addpart', [path, '2', '1024', '512']);
    this.#undo.push(
      () => run('delpart', [path, '1']),
      () => run('delpart', [path, '2']),
    );
    return [`${path}p1`, `${path}p2`];
  }

  /** Tells a mapper device something. */
  async message(path: string, message: string): Promise<void> {
    await dmsetup('message', path, '0', message);
  }

  /** A mapper device with this table; its path. */
  async mapped(table: string, options: MappedOptions & { name?: string } = {}): Promise<string> {
    const name = options.name ?? `fixture-${this.first}-${this.#serial++}`;
    const mapped = await createMapped(name, table, options);
    this.#undo.push(() => mapped.remove());
    return mapped.path;
  }

  /** One LUN that shows under two names. */
  async lunTwice(): Promise<readonly [string, string]> {
    const lun = await plugLun();
    this.#undo.push(() => lun.unplug());
    return lun.paths;
  }

  /** A RAID 1 of these devices; its path. */
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

  async swap(path: string): Promise<void> {
    await run('chmod', ['600', path]);
    await run('mkswap', [path]);
    await run('swapon', [path]);
    this.#undo.push(() => run('swapoff', [path]));
  }

  /** A program that has an image open, as QEMU and cloud-hypervisor have: these bytes are locked. */
  locked(file: string, bytes: readonly number[], exclusive: boolean): void {
    const image = OwnedFd.openSync(file, constants.O_RDWR);
    for (const byte of bytes) tryLockByte(image, BigInt(byte), exclusive);
    this.#undo.push(() => image.close());
  }

  /** A disk of the first guest that QEMU serves, and has open. */
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

  /** Another program that has a device open, and has not claimed it. */
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

  /** Holds a device exclusively, as mkfs and fsck do. */
  claim(device: string): void {
    const fd = openSync(device, constants.O_RDONLY | constants.O_EXCL);
    this.#undo.push(async () => closeSync(fd));
  }

  /** Says who the two guests are. */
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

  /** Attaches it to the first guest, who must get it. */
  async guest(params: string, mode: Mode, kin: Kin = 'other'): Promise<void> {
    await this.kin(kin);
    const { verdict, reason } = await this.add(this.first, params, mode);
    if (verdict !== 'free') throw new Error(`the first guest did not get ${params}: ${reason}`);
  }

  /** An entry of the first guest that no device stands behind, as a toolstack that died leaves it. */
  async entry(nodes: Readonly<Record<string, string>>): Promise<void> {
    await this.kin('other');
    const options = { frontend: this.first, devid: 51712, params: '/dev/none', extra: nodes };
    // Not for blkback to open: it is past that.
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
    // Xen's script does not wait for it.
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

/** Plays one case and says what the second guest got. */
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
