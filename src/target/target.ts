import type { DirectIo } from '../block/loop/loop-device.js';
import { SHARINGS, type Sharing } from '../sharing/sharing-rules.js';
import { quote } from '../util/one-line.js';
import { decodePath, plainPath } from '../util/path-bytes.js';
import {
  parseChoice,
  parseDiskseq,
  parseMapperName,
  parseMapperUuid,
  parseNumber,
  parsePath,
  parseRelativePath,
  splitTarget,
  targetError,
} from './target-values.js';

/** What `params` asks for. The grammar is in docs/targets.md. */
export interface Target {
  readonly locator: Locator;
  /** The diskseq that the located device must have, where the target gives one. */
  readonly diskseq: bigint | undefined;
  readonly offset: bigint;
  readonly size: bigint | undefined;
  readonly blockSize: number;
  readonly directIo: DirectIo;
  readonly autoclear: boolean;
  readonly sharing: Sharing | undefined;
  readonly deferredRemove: boolean;
  readonly layer: 'linear' | 'crypt' | undefined;
  readonly verityRoot: string | undefined;
  /** The keys that the target gives, in their order. */
  readonly keys: readonly string[];
}

/** How the target names its device. */
export type Locator =
  | {
      readonly by: 'path';
      /** A path in the form that `decodePath` makes of its bytes. */
      readonly path: string;
      /** Present where the path must not lead through symbolic links. */
      readonly symlinks?: false;
    }
  | { readonly by: 'dm-name'; readonly name: string }
  | { readonly by: 'dm-uuid'; readonly uuid: string }
  | {
      readonly by: 'diskseq';
      readonly diskseq: bigint;
      readonly partition: number | undefined;
    };

/** All keys of a list. */
export const KEYS: readonly string[] = [
  'path',
  'dm-name',
  'dm-uuid',
  'diskseq',
  'partition',
  'symlinks',
  'offset',
  'size',
  'block-size',
  'direct-io',
  'autoclear',
  'sharing',
  'deferred-remove',
  'layer',
  'verity-root',
];

/** The largest value of the kernel's loff_t. */
const MAX_BYTES = (1n << 63n) - 1n;
const SECTOR = 512n;

/** Parses the value of `params`. Throws `TargetError`. */
export function parseTarget(params: Uint8Array): Target {
  const text = decode(params);
  const keys = isList(text) ? splitTarget(text) : new Map([['path', parseBarePath(text)]]);
  const unknown = [...keys.keys()].find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    throw targetError(`unknown key ${quote(unknown)}; known are ${KEYS.join(', ')}`);
  }
  const locator = parseLocator(keys);
  const diskseq = optional(keys, 'diskseq', parseDiskseq);
  if (locator.by === 'diskseq' && diskseq !== undefined && diskseq !== locator.diskseq) {
    throw targetError(`path and diskseq=${diskseq} name two different disks`);
  }
  return {
    locator,
    diskseq: locator.by === 'diskseq' ? undefined : diskseq,
    ...parseWindow(keys),
    directIo: choice(keys, 'direct-io', ['yes', 'no', 'auto']) ?? 'no',
    autoclear: yesNo(keys, 'autoclear') ?? true,
    sharing: choice(keys, 'sharing', SHARINGS),
    deferredRemove: yesNo(keys, 'deferred-remove') ?? false,
    layer: choice(keys, 'layer', ['linear', 'crypt']),
    verityRoot: optional(keys, 'verity-root', parseDigest),
    keys: [...keys.keys()],
  };
}

function decode(params: Uint8Array): string {
  if (params.length === 0) throw targetError('it is empty, which only a CD-ROM drive may be');
  if (params.includes(0)) throw targetError('it contains a NUL byte');
  return decodePath(params);
}

/** Returns whether the text is a list. A relative path has no equal sign in its first name. */
function isList(text: string): boolean {
  return /^[^/]*=/.test(text) || KEYS.includes(text) || text.startsWith(',');
}

function parseBarePath(text: string): string {
  return text.startsWith('/') ? text : parseRelativePath(text);
}

function parseLocator(keys: ReadonlyMap<string, string>): Locator {
  const given = ['path', 'dm-name', 'dm-uuid'].filter((key) => keys.has(key));
  if (given.length > 1) throw targetError(`${given.join(' and ')} exclude each other`);
  const partition = optional(keys, 'partition', parsePartition);
  const symlinks = yesNo(keys, 'symlinks');
  if (symlinks !== undefined && given[0] !== 'path') {
    throw targetError('symlinks goes with path only: nothing else leads through links');
  }
  if (given.length === 0) {
    const diskseq = optional(keys, 'diskseq', parseDiskseq);
    if (diskseq === undefined) {
      throw targetError('it names no device: one of path, dm-name, dm-uuid, diskseq is needed');
    }
    return { by: 'diskseq', diskseq, partition };
  }
  if (partition !== undefined)
    throw targetError(`partition goes with diskseq, not with ${given[0]}`);
  const name = optional(keys, 'dm-name', parseMapperName);
  if (name !== undefined) return { by: 'dm-name', name };
  const uuid = optional(keys, 'dm-uuid', parseMapperUuid);
  if (uuid !== undefined) return { by: 'dm-uuid', uuid };
  return parsePathLocator(parsePath('path', keys.get('path') ?? ''), symlinks ?? true);
}

/** Reads a path. udev's by-diskseq links name a diskseq, which can be found without udev. */
function parsePathLocator(path: string, symlinks: boolean): Locator {
  const match = /^\/dev\/disk\/by-diskseq\/([1-9]\d{0,19})(?:-part([1-9]\d{0,4}))?$/.exec(
    plainPath(path),
  );
  if (!match?.[1]) return { by: 'path', path, ...(symlinks ? {} : { symlinks }) };
  const partition = match[2] === undefined ? undefined : parsePartition('path', match[2]);
  return { by: 'diskseq', diskseq: parseDiskseq('path', match[1]), partition };
}

function parsePartition(key: string, value: string): number {
  return Number(parseNumber(key, value, 1n, 0xffffn));
}

function parseWindow(keys: ReadonlyMap<string, string>): {
  offset: bigint;
  size: bigint | undefined;
  blockSize: number;
} {
  const blockSize = Number(choice(keys, 'block-size', ['512', '1024', '2048', '4096']) ?? 512);
  const bytes = (key: string, value: string): bigint => parseNumber(key, value, 0n, MAX_BYTES);
  const offset = optional(keys, 'offset', bytes) ?? 0n;
  const size = optional(keys, 'size', bytes);
  if (offset % SECTOR !== 0n) throw targetError(`offset=${offset} is not a multiple of ${SECTOR}`);
  if (size !== undefined && (size === 0n || size % BigInt(blockSize) !== 0n)) {
    throw targetError(`size=${size} is not a positive multiple of the block size ${blockSize}`);
  }
  if (size !== undefined && offset + size > MAX_BYTES) {
    throw targetError(`offset=${offset} and size=${size} together are too large`);
  }
  return { offset, size, blockSize };
}

/** Reads a root digest: whole bytes in hex, no more than the 64 of verity's longest digest. */
function parseDigest(key: string, value: string): string {
  if (/^([0-9a-fA-F]{2}){16,64}$/.test(value)) return value.toLowerCase();
  throw targetError(`${key}=${quote(value)}: an even number of 32 to 128 hex digits is needed`);
}

function choice<T extends string>(
  keys: ReadonlyMap<string, string>,
  key: string,
  choices: readonly T[],
): T | undefined {
  return optional(keys, key, (name, value) => parseChoice(name, value, choices));
}

function yesNo(keys: ReadonlyMap<string, string>, key: string): boolean | undefined {
  const word = choice(keys, key, ['yes', 'no']);
  return word === undefined ? undefined : word === 'yes';
}

function optional<T>(
  keys: ReadonlyMap<string, string>,
  key: string,
  parse: (key: string, value: string) => T,
): T | undefined {
  const value = keys.get(key);
  return value === undefined ? undefined : parse(key, value);
}
