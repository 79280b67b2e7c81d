import { renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import { makeDirectory } from '../linux/make-directory.js';
import { isInMemory, readMemoryFile } from '../linux/memory-file.js';
import {
  listNames,
  listUnfinished,
  type UnfinishedRecord,
  unfinishedPath,
} from './unfinished-records.js';
import { VbdError } from './vbd-error.js';
import { parseVbdPath, type VbdPath } from './vbd-path.js';

/**
 * The facts about a vbd that must outlive its nodes, because a toolstack may delete the nodes
 * before it calls `remove`. A loop device that clears itself needs no record, because there is
 * nothing left to do for it.
 */
export interface VbdRecord {
  readonly devnum: Devnum;
  readonly diskseq: bigint;
  readonly path: string;
  /** Whether the device is a loop device of this program that does not clear itself. */
  readonly unbind: boolean;
}

/**
 * The directory of the records. It is on a tmpfs, because device numbers mean nothing after a
 * reboot.
 */
export const DEFAULT_RUN_DIRECTORY = '/run/xen-blkback';

function recordPath(directory: string, vbd: VbdPath): string {
  return join(directory, `${vbd.sysfsName}.json`);
}

/** Writes a vbd's record synchronously, whole or not at all. Throws `ERECORD`. */
export function writeRecord(directory: string, vbd: VbdPath, record: VbdRecord): void {
  writeText(directory, vbd, textOf(vbd, record));
}

/** Returns the text of a record. `writer` tells the adds apart that write the same facts. */
function textOf(vbd: VbdPath, record: VbdRecord, writer?: string): string {
  const facts = {
    backend: vbd.backend,
    device: formatDevnum(record.devnum),
    diskseq: String(record.diskseq),
    path: record.path,
    unbind: record.unbind,
  };
  return `${JSON.stringify({ ...facts, writer })}\n`;
}

function writeText(directory: string, vbd: VbdPath, text: string): void {
  const path = recordPath(directory, vbd);
  const fresh = unfinishedPath(path);
  try {
    makeDirectory(directory);
    writeFileSync(fresh, text, { mode: 0o600 });
    renameSync(fresh, path);
    for (const { path: left } of unfinishedOf(directory, vbd)) dropFile(left);
  } catch (error) {
    // On a full disk, the file exists and is empty.
    dropFile(fresh);
    throw recordError('written', path, error);
  }
}

let placed = 0;

/**
 * Writes a record where another add of the same vbd may have written one: two adds may run at once,
 * and one of them comes too late. Returns a function that takes the record back. That function
 * restores the earlier record, or removes the record where there was none before. It leaves a
 * record that was written since as it is, also one of the same device: its writer may have adopted
 * the device and let it stay bound. Both functions throw `ERECORD`.
 */
export function placeRecord(directory: string, vbd: VbdPath, record: VbdRecord): () => void {
  const before = readTextLeniently(directory, vbd);
  const text = textOf(vbd, record, `${process.pid}.${placed++}`);
  writeText(directory, vbd, text);
  return () => {
    if (readTextLeniently(directory, vbd) !== text) return;
    if (before === undefined || parseRecord(before) === undefined) removeRecord(directory, vbd);
    else writeText(directory, vbd, before);
  };
}

/**
 * Reads a vbd's record synchronously, because the directory is in memory. Returns `undefined` if
 * there is no record, or none that can be understood. Throws `ERECORD`.
 */
export function readRecord(directory: string, vbd: VbdPath): VbdRecord | undefined {
  const text = readText(directory, vbd);
  return text === undefined ? undefined : parseRecord(text);
}

function readText(directory: string, vbd: VbdPath): string | undefined {
  const path = recordPath(directory, vbd);
  try {
    return readMemoryFile(path);
  } catch (error) {
    throw recordError('read', path, error);
  }
}

/**
 * Reads a vbd's record where it is only a hint: returns `undefined` also where a directory has the
 * name of the record. Throws `ERECORD` where the kernel does not let this process read the file, for
 * want of descriptors or memory: nobody may take a record for none then.
 */
export function readRecordLeniently(directory: string, vbd: VbdPath): VbdRecord | undefined {
  const text = readTextLeniently(directory, vbd);
  return text === undefined ? undefined : parseRecord(text);
}

function readTextLeniently(directory: string, vbd: VbdPath): string | undefined {
  try {
    return readText(directory, vbd);
  } catch (error) {
    if (error instanceof VbdError && isSystemError(error.cause, 'EISDIR')) return undefined;
    throw error;
  }
}

/** Reads the text of a record; returns `undefined` for a text that is no record. */
export function parseRecord(text: string): VbdRecord | undefined {
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(text));
  } catch {
    return undefined;
  }
  const devnum = parseDevnum(String(value.device));
  const diskseq = /^\d{1,20}$/.test(String(value.diskseq)) ? BigInt(String(value.diskseq)) : 0n;
  const path = value.path;
  if (devnum === undefined || diskseq === 0n || typeof path !== 'string') return undefined;
  return { devnum, diskseq, path, unbind: value.unbind === true };
}

/** Lists the vbds that have a record, whether or not the vbds still exist. */
export function listRecords(directory: string): VbdPath[] {
  return listNames(directory)
    .map((name) => /^vbd-(\d+)-(\d+)\.json$/.exec(name))
    .map((match) => match && parseVbdPath(`backend/vbd/${match[1]}/${match[2]}`))
    .filter((vbd) => vbd !== null && vbd !== undefined);
}

/** Removes a file. Ignores a failure, because the caller has an error to tell already. */
function dropFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The file was not even made.
  }
}

function unfinishedOf(directory: string, { sysfsName }: VbdPath): UnfinishedRecord[] {
  return listUnfinished(directory).filter((unfinished) => unfinished.sysfsName === sysfsName);
}

/** Removes a vbd's record, and the files that killed writers left. Throws `ERECORD`. */
export function removeRecord(directory: string, vbd: VbdPath): void {
  const path = recordPath(directory, vbd);
  const unfinished = unfinishedOf(directory, vbd).map((left) => left.path);
  for (const file of [path, ...unfinished]) {
    // Most vbds have no record, and the exception would cost more than this check.
    if (!isInMemory(file)) continue;
    try {
      unlinkSync(file);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw recordError('removed', file, error);
    }
  }
}

function recordError(verb: string, path: string, cause: unknown): VbdError {
  return new VbdError(
    `the record of what is to be undone, ${path}, could not be ${verb}: ${errorMessage(cause)}`,
    { code: 'ERECORD', cause },
  );
}
