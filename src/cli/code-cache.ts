import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

// The code cache of a program: what V8 makes of the program's text, in a file beside it. A process
// that finds the cache does not compile the text again. V8 11.3 compares only its version, its flags
// and the length of the text. A build of Node.js with patches of its own has the same version, and
// crashes over such a cache (nodejs/node#62781). So the header of the file names the Node.js and the
// text by what the file system says of both files. A header that differs only costs time.

/** The programs of a build, in dist/code (.ci/build). */
export const PROGRAMS = ['block-diskseq', 'version', 'xen-blkback'] as const;

/** The bytes before V8's data. V8 copies data that is not aligned, so the number is a multiple of 8. */
const HEADER = 256;

/** Returns the name of the cache of a program's file. */
export function cacheName(program: string): string {
  return `${program}.cache`;
}

/** A loaded program, with the names that it finds as every CommonJS module does. */
export type Program = (require: NodeJS.Require, filename: string) => void;

/**
 * Loads a program, with its cache if there is one of exactly this text. `runInThisContext` of the
 * result returns a `Program`. Throws if the file cannot be read.
 */
export function loadProgram(file: string): Script {
  const cachedData = readCodeCache(file);
  return new Script(readText(file), {
    filename: file,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
}

/** Returns V8's data of a program, or `undefined` if there is none of the present text. */
function readCodeCache(file: string): Buffer | undefined {
  try {
    const bytes = readFileSync(cacheName(file));
    const data = bytes.subarray(HEADER);
    const header = bytes.toString('latin1', 0, HEADER);
    return header === writeHeader(identify(file), data.length) ? data : undefined;
  } catch {
    // A cache that is absent or cannot be read only costs time.
    return undefined;
  }
}

/**
 * Writes the cache of a program for the Node.js that runs this. Replaces an older cache at once, and
 * only after all bytes are on the disk. Throws what the file system throws, and leaves nothing then.
 */
export function writeCodeCache(file: string): void {
  // A text that is exchanged while it is compiled has another identity than this one.
  const identity = identify(file);
  const data = compileWhole(file).createCachedData();
  // Two processes may write at the same time.
  const fresh = `${cacheName(file)}.${process.pid}`;
  try {
    const descriptor = openSync(fresh, 'w', 0o644);
    try {
      fchmodSync(descriptor, 0o644);
      writeSync(descriptor, writeHeader(identity, data.length), 0, 'latin1');
      writeSync(descriptor, data, 0, data.length, HEADER);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(fresh, cacheName(file));
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

/** Compiles all functions. V8 would leave most of them until their first call, out of the cache. */
function compileWhole(file: string): Script {
  setFlagsFromString('--no-lazy');
  try {
    return new Script(readText(file), { filename: file });
  } finally {
    // The cache names the flags at its creation, and serves only processes with the same flags.
    setFlagsFromString('--lazy');
  }
}

/**
 * Returns the text of a program, wrapped into a function of the type `Program`. esbuild escapes all
 * characters that are not ASCII, and V8 needs half the memory for a text without them.
 */
function readText(file: string): string {
  return `(function(require,__filename){${readFileSync(file, 'latin1')}\n})`;
}

/** Names a text and the Node.js that runs this. No archive can set the time of the last change. */
function identify(file: string): string {
  const node = statSync(process.execPath, { bigint: true });
  const text = statSync(file, { bigint: true });
  const parts = [process.version, process.arch];
  for (const { ino, size, ctimeNs } of [node, text]) parts.push(`${ino}/${size}/${ctimeNs}`);
  return parts.join(' ');
}

function writeHeader(identity: string, length: number): string {
  return `xen-blkback code cache 2: ${identity} ${length}\n`.padEnd(HEADER);
}
