import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What native/addon.cc exports. */
export interface Addon {
  /** A stream of bytes that never blocks; native/channel.h documents it. */
  readonly Channel: new (
    memory: Uint8Array,
    onRead: (count: number) => void,
    onWritable: () => void,
  ) => AddonChannel;
}

/** Failures are negative errnos. */
export interface AddonChannel {
  /** 0 for a socket, 1 for a device. */
  open(path: string): number;
  start(): number;
  /** How many bytes were taken. */
  write(bytes: Uint8Array): number;
  awaitWritable(): void;
  close(): void;
}

const PLACE = join('native', 'build', 'Release', 'blkback.node');

let loaded: Addon | undefined;

/**
 * The project's native addon, loaded when it is first asked for: from the package that this file is
 * part of, in a checkout as well as installed.
 */
export function loadAddon(): Addon {
  loaded ??= createRequire(import.meta.url)(find()) as Addon;
  return loaded;
}

function find(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, PLACE)) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return join(directory, PLACE);
}
