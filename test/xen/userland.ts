import { spawnSync } from 'node:child_process';
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

/** The directories that are links in a merged /usr; files lie in what they point to. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];

const NODE_PARTS = '/usr/share/nodejs';
/** Where libraries are. */
const LIBRARIES = '/usr/lib/x86_64-linux-gnu';

/** Programs of Debian's packages that dom0 has, as in `dpkg -L`, by package. */
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

/** Xen's own, which lie in a directory for its version. */
const XEN_PROGRAMS =
  'xl xenstored xenconsoled xen-init-dom0 xenstore-control libxl-save-helper'.split(' ');

/** Where Xen's tools are, one directory for each version. */
const XEN_TOOLS = /^xen-\d/;

/** The device model of HVM guests, and what it and their loader read. */
const DEVICE_MODEL = '/usr/libexec/xen-qemu-system-i386';
const HVM_FILES = ['/usr/share/qemu/keymaps/en-us', '/usr/share/seabios/bios-256k.bin'];

/**
 * Puts programs, and the libraries that they are linked with, into an archive. They come from a root
 * that has a generation's packages unpacked: nothing of it is run here but its dynamic linker.
 */
export class Userland {
  readonly #archive: Cpio;
  readonly #root: string;
  readonly #programs = new Set<string>();

  constructor(archive: Cpio, root: string) {
    this.#archive = archive;
    this.#root = realpathSync(root);
    for (const name of MERGED) {
      archive.directory(`/usr/${name}`);
      archive.symlink(`/${name}`, `usr/${name}`);
    }
  }

  /** The programs above, Xen's tools, its scripts, and Node.js. */
  addDebian(): void {
    for (const name of Object.values(PROGRAMS).join(' ').split(/\s+/)) {
      this.program(this.#existing(...PATH.map((directory) => join(directory, name))));
    }
    for (const name of XEN_PROGRAMS) {
      const places = this.#xenTools().flatMap((directory) => [
        join(directory, 'bin', name),
        join(directory, 'lib', name),
      ]);
      this.program(this.#existing(...places));
    }
    this.#addNode();
    this.#addDeviceModel();
    this.tree(join(this.#root, 'etc/xen'), '/etc/xen');
  }

  /** A program or library of the root, at its own place; a link with what it leads to. */
  program(path: string): void {
    const directory = this.#real(dirname(path));
    const place = join(directory, path.slice(path.lastIndexOf('/') + 1));
    if (this.#archive.has(place)) return;
    const source = join(this.#root, place);
    const found = lstatSync(source);
    if (found.isSymbolicLink()) {
      const target = resolve(directory, readlinkSync(source));
      this.#archive.symlink(place, target);
      this.program(target);
    } else this.#add(place, source);
  }

  /** A directory of this machine with everything below it, somewhere else in the archive. */
  tree(from: string, to: string): void {
    this.#archive.directory(to);
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const [source, place] = [join(from, entry.name), join(to, entry.name)];
      if (entry.isSymbolicLink()) this.#archive.symlink(place, readlinkSync(source));
      else if (entry.isDirectory()) this.tree(source, place);
      else this.#add(place, source);
    }
  }

  /** Adds the libraries of everything that has been added. */
  addLibraries(): void {
    const path = join(this.#root, LIBRARIES);
    const linker = join(path, 'ld-linux-x86-64.so.2');
    for (const program of [...this.#programs]) {
      for (const library of librariesOf(linker, path, program)) {
        this.program(library.slice(this.#root.length));
      }
    }
    this.program('/lib64/ld-linux-x86-64.so.2');
  }

  #add(place: string, source: string): void {
    this.#archive.file(place, source, statSync(source).mode & 0o777);
    if (isElf(source)) this.#programs.add(source);
  }

  /** The generation's own, or, where that is too old for the project, this machine's. */
  #addNode(): void {
    const own = join(this.#root, 'usr/bin/node');
    if (lstatSync(own, { throwIfNoEntry: false })) {
      this.program('/usr/bin/node');
      // Debian's Node.js has parts of itself there.
      this.tree(join(this.#root, NODE_PARTS), NODE_PARTS);
    } else this.#add('/usr/bin/node', realpathSync(process.execPath));
  }

  #addDeviceModel(): void {
    this.program(DEVICE_MODEL);
    const loaders = this.#xenTools().map((directory) => `${directory}/boot/hvmloader`);
    for (const path of [...HVM_FILES, ...loaders]) this.#add(path, join(this.#root, path));
  }

  #xenTools(): string[] {
    return readdirSync(join(this.#root, 'usr/lib'))
      .filter((name) => XEN_TOOLS.test(name))
      .map((name) => join('/usr/lib', name));
  }

  /** A directory of the root without links; the links of a merged /usr are relative. */
  #real(directory: string): string {
    return realpathSync(join(this.#root, directory)).slice(this.#root.length);
  }

  #existing(...paths: readonly string[]): string {
    const found = paths.find(
      (path) => lstatSync(join(this.#root, path), { throwIfNoEntry: false }) !== undefined,
    );
    if (found === undefined) throw new Error(`dom0 needs one of ${paths.join(', ')}: not found`);
    return found;
  }
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

/** Paths of what the dynamic linker would load; none for what is linked statically. */
function librariesOf(linker: string, path: string, program: string): string[] {
  const args = ['--library-path', path, '--list', program];
  const { stdout } = spawnSync(linker, args, { encoding: 'utf8' });
  // What is not found belongs to another C library: packages carry builds for several.
  const found = [...stdout.matchAll(/^\t\S+ => (\/\S+) \(0x/gm)].map((match) => match[1] ?? '');
  return found.filter((library) => library.startsWith(path));
}
