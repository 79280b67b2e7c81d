import { constants } from 'node:fs';
import { errnoName } from '../../src/util/errno.js';
import { ENOENT, Errno } from './kernel/kernel.js';
import { isDirectory, listNames } from './kernel/text.js';
import type { SimulatedProcess } from './process.js';
import { listProc } from './procfs.js';
import { requireNode, resolve, resolveLink } from './resolve.js';

const O_CREAT = constants.O_CREAT;

/** Converts an `Errno` to an error like those of Node. */
function nodeError(error: unknown): unknown {
  if (!(error instanceof Errno)) return error;
  const code = errnoName(error.errno);
  return Object.assign(new Error(code), { code, errno: -error.errno });
}

/** Returns the functions of `node:fs` that the program uses, for one process. */
export function nodeFs(process: SimulatedProcess): Readonly<Record<string, unknown>> {
  const { kernel, scheduler } = process.world;
  const tell = (what: () => string): void => scheduler.tell(process.name, what);
  const call =
    <A extends unknown[], R>(body: (...args: A) => R) =>
    (...args: A): R => {
      process.step();
      try {
        return body(...args);
      } catch (error) {
        throw nodeError(error);
      }
    };
  const readFile = (path: string): string => {
    const found = resolve(process, path);
    if (found === undefined) throw new Errno(ENOENT);
    if ('text' in found) return found.text;
    if (found.node.kind === 'file') return found.node.content;
    throw new Errno(ENOENT);
  };
  const list = (path: string): string[] => {
    if (path.startsWith('/run/')) {
      const below = `${path}/`;
      const names = [...kernel.files.keys()].filter((name) => name.startsWith(below));
      return names.map((name) => name.slice(below.length));
    }
    const names = listProc(process, path) ?? listNames(kernel, path);
    if (names === undefined) throw new Errno(ENOENT);
    return names;
  };
  return {
    constants,
    existsSync: (path: string) => path.endsWith('.node') || resolve(process, path) !== undefined,
    openSync: call((path: string, flags: number) => {
      if ((flags & O_CREAT) !== 0 && !kernel.files.has(path)) kernel.addFile(path, 0n);
      const isWritable = (flags & 3) !== 0;
      const isPath = (flags & 0o10000000) !== 0;
      const node = requireNode(process, path);
      return process.addFd(kernel.open(node, { isPath, isWritable, isExclusive: false }));
    }),
    closeSync: call((fd: number) => process.closeFd(fd)),
    readFileSync: call((path: string, encoding?: string) => {
      const text = readFile(path);
      return encoding === undefined ? Buffer.from(text) : text;
    }),
    writeFileSync: call((path: string, text: string) => {
      if (path.startsWith('/sys/')) return;
      const file = kernel.files.get(path) ?? kernel.addFile(path, 0n);
      file.content = text;
    }),
    readdirSync: call((path: string, options?: { withFileTypes?: boolean }) => {
      const names = list(path);
      if (!options?.withFileTypes) return names;
      return names.map((name) => ({
        name,
        isDirectory: () => isDirectory(kernel, `${path}/${name}`),
      }));
    }),
    statSync: call((path: string, options?: { throwIfNoEntry?: boolean }) => {
      const found = resolve(process, path);
      if (found !== undefined && 'node' in found) return { ino: found.node.ino, nlink: 2 };
      if (options?.throwIfNoEntry === false) return undefined;
      throw new Errno(ENOENT);
    }),
    fstatSync: call((fd: number) => ({ ino: process.file(fd).node.ino })),
    mkdirSync: call(() => undefined),
    renameSync: call((from: string, to: string) => {
      const file = kernel.files.get(from);
      if (file === undefined) throw new Errno(ENOENT);
      tell(() => `writes ${to}: ${file.content.trim()}`);
      kernel.files.delete(from);
      kernel.files.set(to, file);
    }),
    unlinkSync: call((path: string) => {
      if (!kernel.files.delete(path) && !kernel.madeNodes.delete(path)) throw new Errno(ENOENT);
      tell(() => `removes ${path}`);
    }),
    readlinkSync: call((path: string) => {
      const target = resolveLink(process, path);
      if (target === undefined) throw new Errno(ENOENT);
      return target;
    }),
  };
}
