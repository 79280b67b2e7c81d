import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Cpio } from './cpio.js';

/** The directories that are links on a Debian machine; files lie in what they point to. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];

/** Programs of this machine's Debian packages that dom0 has, as in `dpkg -L`, by package. */
const PROGRAMS: Readonly<Record<string, string>> = {
  bash: 'bash',
  dash: 'sh dash',
  coreutils:
    'basename cat chmod chown cp cut date dd dirname env expr head id ln ls md5sum mkdir mknod mktemp mv od printf readlink realpath rm rmdir seq sleep sort stat stty sync tail tee test timeout touch tr true truncate tty uname uniq wc base64',
  'util-linux': 'blockdev dmesg flock logger losetup mount umount setsid',
  procps: 'kill pgrep pkill ps',
  others: 'awk mawk cmp dmsetup find grep sed tar gzip xargs',
  'xenstore-utils':
    'xenstore-exists xenstore-list xenstore-ls xenstore-read xenstore-rm xenstore-watch xenstore-write xenstore-chmod',
};

/** Where programs are looked for. */
const PATH = ['/usr/bin', '/usr/sbin'];

/** Puts programs, and the libraries that they are linked with, into an archive. */
export class Userland {
  readonly #archive: Cpio;
  readonly #programs = new Set<string>();

  constructor(archive: Cpio) {
    this.#archive = archive;
    for (const name of MERGED) {
      const target = readlinkSync(`/${name}`);
      archive.directory(`/${target}`);
      archive.symlink(`/${name}`, target);
    }
  }

  /** The programs above, Xen's tools, its scripts, and Node. */
  addDebian(xenTools: string): void {
    for (const name of Object.values(PROGRAMS).join(' ').split(/\s+/)) this.program(find(name));
    for (const name of ['xl', 'xenstored', 'xenconsoled', 'xen-init-dom0', 'xenstore-control']) {
      this.program(existing(join(xenTools, name), join(xenTools, '../lib', name)));
    }
    const node = realpathSync(process.execPath);
    this.program(node);
    // Where the package looks for it.
    if (!this.#archive.has('/usr/bin/node')) this.#archive.symlink('/usr/bin/node', node);
    this.tree('/etc/xen', '/etc/xen');
  }

  /** A program or library of this machine, at its own place; a link with what it leads to. */
  program(path: string): void {
    const place = join(realpathSync(dirname(path)), path.slice(path.lastIndexOf('/') + 1));
    if (this.#archive.has(place)) return;
    const found = lstatSync(place);
    if (found.isSymbolicLink()) {
      const target = resolve(dirname(place), readlinkSync(place));
      this.#archive.symlink(place, target);
      this.program(target);
    } else {
      this.#archive.file(place, place, found.mode & 0o777);
      if (isElf(place)) this.#programs.add(place);
    }
  }

  /** A directory of this machine with everything below it, somewhere else in the archive. */
  tree(from: string, to: string): void {
    this.#archive.directory(to);
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const [source, place] = [join(from, entry.name), join(to, entry.name)];
      if (entry.isSymbolicLink()) this.#archive.symlink(place, readlinkSync(source));
      else if (entry.isDirectory()) this.tree(source, place);
      else {
        this.#archive.file(place, source, statSync(source).mode & 0o777);
        if (isElf(source)) this.#programs.add(source);
      }
    }
  }

  /** Adds the libraries of everything that has been added. */
  addLibraries(): void {
    for (const library of librariesOf([...this.#programs])) this.program(library);
  }
}

function find(name: string): string {
  return existing(...PATH.map((directory) => join(directory, name)));
}

function existing(...paths: readonly string[]): string {
  const found = paths.find((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
  if (found === undefined) throw new Error(`dom0 needs one of ${paths.join(', ')}: not found`);
  return found;
}

function isElf(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    return readSync(fd, magic) === 4 && magic.toString('latin1') === '\x7fELF';
  } finally {
    closeSync(fd);
  }
}

function librariesOf(programs: readonly string[]): string[] {
  // ldd fails for each that is linked statically, which is no fault.
  const command = ['-c', 'ldd "$@" 2>/dev/null || true', 'ldd', ...programs];
  const text = execFileSync('sh', command, { encoding: 'utf8' });
  const found = [...text.matchAll(/^\t(?:\S+ => )?(\/\S+) \(0x/gm)].map((match) => match[1] ?? '');
  // What is not found belongs to another C library: packages carry builds for several.
  return [...new Set(found)];
}
