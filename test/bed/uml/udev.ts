import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { pause } from '../../../src/util/retry.js';
import { built } from '../paths.js';

const run = promisify(execFile);
/** Where test/bed/storage-tools has unpacked Debian's packages. */
const UNPACKED = built('storage-tools');
/** Where their udev rules look for the programs. */
const TOOLS = '/run/storage-tools';
const RULES = '/run/udev/rules.d';
const UDEVD = '/lib/systemd/systemd-udevd';

/** Whether test/bed/storage-tools has been run. */
export function haveStorageTools(): boolean {
  return existsSync(join(UNPACKED, 'complete'));
}

/**
 * A systemd-udevd with Debian's rules for md, kpartx and LVM. It sees every disk of the machine that it
 * runs in, and is meant for User-Mode Linux only.
 */
export class Udev implements AsyncDisposable {
  readonly #udevd;
  readonly #monitor;
  /** `change loop0`, as the kernel has told them. */
  #seen: string[] = [];

  private constructor() {
    installTools();
    this.#monitor = spawn('udevadm', ['monitor', '--kernel', '--subsystem-match=block'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#monitor.stdout }).on('line', (line) => {
      const [, action, device] = /^KERNEL\S*\s+(\w+)\s+\S*\/(\S+) \(block\)$/.exec(line) ?? [];
      if (action !== undefined) this.#seen.push(`${action} ${device}`);
    });
    this.#udevd = spawn(UDEVD, [], { stdio: 'ignore' });
  }

  static async start(): Promise<Udev> {
    const udev = new Udev();
    await once(udev.#monitor.stdout, 'data');
    for (const end = performance.now() + 5000; !existsSync('/run/udev/control'); ) {
      if (performance.now() > end) throw new Error('systemd-udevd has not started');
      await pause(10);
    }
    return udev;
  }

  /** Runs `lvm`, `mdadm` or `kpartx`. Returns what it printed. */
  static tool(name: string, ...args: string[]): string {
    installTools();
    return execFileSync(join(TOOLS, name), args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Resolves when udev has done all that it was told to do. */
  async settle(): Promise<void> {
    // What a close sets off comes to udevd by inotify, which it takes up when it is told to.
    await run('udevadm', ['settle', '--timeout=20']);
    await pause(100);
    await run('udevadm', ['settle', '--timeout=20']);
  }

  /** It does nothing until `resume`. */
  pause(): void {
    this.#udevd.kill('SIGSTOP');
  }

  resume(): void {
    this.#udevd.kill('SIGCONT');
  }

  /** Events of the kernel since the last call, as in `change dm-0`, those that udev has asked for too. */
  async events(): Promise<string[]> {
    await this.settle();
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#udevd, this.#monitor]) {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    }
    for (const name of readdirSync(RULES)) rmSync(join(RULES, name));
    rmSync('/run/udev/control', { force: true });
  }
}

function installTools(): void {
  for (const place of [TOOLS, RULES, '/run/lvm-system']) mkdirSync(place, { recursive: true });
  const programs = { mdadm: 'sbin', kpartx: 'sbin', lvm: 'sbin', kpartx_id: 'lib/udev' };
  for (const [name, place] of Object.entries(programs)) {
    const script = [
      '#!/bin/sh',
      `export LD_LIBRARY_PATH=$(echo ${UNPACKED}/lib/*-linux-gnu ${UNPACKED}/usr/lib/*-linux-gnu | tr ' ' :)`,
      'export LVM_SYSTEM_DIR=/run/lvm-system LVM_SUPPRESS_FD_WARNINGS=1',
      `exec ${UNPACKED}/${place}/${name} "$@"`,
    ];
    writeFileSync(join(TOOLS, name), `${script.join('\n')}\n`, { mode: 0o755 });
  }
  const rules = join(UNPACKED, 'lib/udev/rules.d');
  for (const name of readdirSync(rules)) copyFileSync(join(rules, name), join(RULES, name));
}
