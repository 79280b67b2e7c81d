import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { partsOf } from './image.js';
import type { Run } from './plan.js';

export interface Boot extends Run {
  /** dom0's initial root. */
  readonly image: string;
  /** Instead of them, a shell on this terminal. */
  readonly shell: boolean;
  /** Where console output and dom0's logs go. */
  readonly logs: string;
}

/** Of the machine that is emulated, in MiB; dom0 has most of it, guests take what is left. */
const MEMORY = 2304;
const PROCESSOR = 'Nehalem,vendor=AuthenticAMD,+rdrand,+svm,+npt';
const DOM0_MEMORY = 1400;

/**
 * Boots Xen in QEMU, without hardware virtualisation, and gives the lines of dom0's report as they
 * come; they end when the machine does. `-cpu max` makes dom0 crash (Xen 4.17), Nehalem does not;
 * without rdrand its Linux has no random numbers for a minute or so, and Node waits for them. QEMU
 * emulates the virtualisation of AMD's processors, which Xen uses on those of AMD only.
 */
export class Dom0 {
  readonly #qemu: ChildProcess;
  /** How the machine ended. */
  readonly ended: Promise<string>;

  constructor(boot: Boot) {
    rmSync(boot.logs, { recursive: true, force: true });
    mkdirSync(boot.logs, { recursive: true });
    const lines = boot.shell
      ? ['mon:stdio', 'null']
      : [`file:${join(boot.logs, 'console.log')}`, 'stdio'];
    const args = [...machine(boot), ...lines.flatMap((to) => ['-serial', to])];
    this.#qemu = spawn('qemu-system-x86_64', args, {
      stdio: [boot.shell ? 'inherit' : 'ignore', boot.shell ? 'inherit' : 'pipe', 'inherit'],
    });
    // It does not outlive us, however we end.
    process.once('exit', () => this.kill());
    this.ended = new Promise((resolve, reject) => {
      this.#qemu.once('error', reject);
      this.#qemu.once('exit', (code, signal) => {
        resolve(signal === null ? `with status ${code}` : `by ${signal}`);
      });
    });
  }

  /** The report's lines. */
  async *lines(): AsyncGenerator<string> {
    const { stdout } = this.#qemu;
    if (stdout === null) return;
    for await (const line of createInterface({ input: stdout })) yield line;
  }

  kill(): void {
    this.#qemu.kill('SIGKILL');
  }
}

function machine({ driver, generation, image, scenarios, shell }: Boot): string[] {
  const parts = partsOf(generation);
  const settings = [
    'console=hvc0',
    // Nothing here is to be kept from anybody, and emulation is slow enough.
    'mitigations=off',
    'audit=0',
    `BED_DRIVER=${driver}`,
    // A comma would end the module's arguments.
    `BED_SCENARIOS=${scenarios.join(':')}`,
    ...(shell ? ['BED_SHELL=1'] : []),
  ];
  return [
    // Time is counted in instructions, and passes at once while nobody runs: no toolstack's patience
    // ends because this machine is busy.
    ...['-icount', 'shift=1,sleep=off'],
    ...['-accel', 'tcg', '-cpu', PROCESSOR, '-smp', '1', '-m', String(MEMORY)],
    // With the drives of the default machine Xen's boot code waits 30 s for their BIOS to answer.
    ...['-nodefaults', '-no-reboot', '-display', 'none'],
    ...['-kernel', join(parts, 'xen')],
    '-append',
    [
      'console=com1 com1=115200 vga=none',
      // As above: each of them costs at every system call.
      'spec-ctrl=no xpti=no pv-l1tf=no',
      `dom0_mem=${DOM0_MEMORY}M,max:${DOM0_MEMORY}M`,
    ].join(' '),
    ...['-initrd', `${join(parts, 'vmlinux')} ${settings.join(' ')},${image}`],
  ];
}

/** Unpacks the archive of dom0's logs that the report ends with. */
export async function unpackLogs(base64: string, directory: string): Promise<void> {
  const tar = spawn('tar', ['xzf', '-', '-C', directory], { stdio: ['pipe', 'ignore', 'ignore'] });
  tar.stdin.end(Buffer.from(base64, 'base64'));
  await new Promise((resolve) => tar.once('close', resolve));
}
