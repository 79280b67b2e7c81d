import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { pause } from '../../../src/util/retry.js';
import { built } from '../paths.js';

const run = promisify(execFile);
/** The directory in which test/bed/storage-tools has unpacked Debian's packages. */
const UNPACKED = built('storage-tools');
/** The directory in which their udev rules look for the programs. */
const TOOLS = '/run/storage-tools';
const RULES = '/run/udev/rules.d';
const UDEVD = '/lib/systemd/systemd-udevd';

/** Tells whether test/bed/storage-tools has been run. */
export function haveStorageTools(): boolean {
  return existsSync(join(UNPACKED, 'complete'));
}

/**
 * A systemd-udevd with Debian's rules for md, kpartx and LVM. It handles every disk of its machine,
 * and is for User-Mode Linux only.
 */
export class Udev implements AsyncDisposable {
  readonly #udevd;
  readonly #monitor;
  /** The events of the kernel, such as `change loop0`. */
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

  /** Runs `lvm`, `mdadm` or `kpartx`, and returns its output. */
  static tool(name: string, ...args: string[]): string {
    installTools();
    return execFileSync(join(TOOLS, name), args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Waits until udev has handled all events. */
  async settle(): Promise<void> {
    // A close reaches udevd through inotify. udevd reads that event only later, hence the second
    // wait.
    await run('udevadm', ['settle', '--timeout=20']);
    await pause(100);
    await run('udevadm', ['settle', '--timeout=20']);
  }

  /** Stops udevd until `resume`. */
  pause(): void {
    this.#udevd.kill('SIGSTOP');
  }

  resume(): void {
    this.#udevd.kill('SIGCONT');
  }

  /** Returns the kernel's events since the last call, such as `change dm-0`, also those by udev. */
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
