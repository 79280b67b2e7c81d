import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import { VbdError } from './vbd-error.js';
import { parseVbdPath, type VbdPath } from './vbd-path.js';

/**
 * What must outlive a vbd's nodes: a toolstack may delete them before it calls `remove`. A loop
 * device that clears itself needs no record, as there is nothing left to do for it.
 */
export interface VbdRecord {
  readonly devnum: Devnum;
  readonly diskseq: bigint;
  readonly path: string;
  /** A loop device of ours that does not clear itself. */
  readonly unbind: boolean;
}

/** Where the records lie; on a tmpfs, as device numbers mean nothing after a reboot. */
export const DEFAULT_RUN_DIRECTORY = '/run/xen-blkback';

function recordPath(directory: string, vbd: VbdPath): string {
  return join(directory, `${vbd.sysfsName}.json`);
}

/** Writes a vbd's record, whole or not at all. */
export async function writeRecord(
  directory: string,
  vbd: VbdPath,
  record: VbdRecord,
): Promise<void> {
  const path = recordPath(directory, vbd);
  const text = JSON.stringify({
    backend: vbd.backend,
    device: formatDevnum(record.devnum),
    diskseq: String(record.diskseq),
    path: record.path,
    unbind: record.unbind,
  });
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Always the same name: what a killed process leaves here, the next write or removal takes away.
    await writeFile(`${path}.new`, `${text}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  } catch (error) {
    // A second add of this vbd, which writes the same, was faster by a moment.
    if (errorCode(error) === 'ENOENT' && (await readRecord(directory, vbd))) return;
    // On a full disk there is an empty one.
    await rm(`${path}.new`, { force: true }).catch(() => undefined);
    throw recordError('written', path, error);
  }
}

/** Reads a vbd's record; `undefined` if there is none, or none that can be understood. */
export async function readRecord(directory: string, vbd: VbdPath): Promise<VbdRecord | undefined> {
  let text: string;
  try {
    text = await readFile(recordPath(directory, vbd), 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) return undefined;
    throw recordError('read', recordPath(directory, vbd), error);
  }
  return parseRecord(text);
}

/** Reads the text of a record; `undefined` for anything that is not one. */
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

/** The vbds that have a record, whether or not they still exist. */
export async function listRecords(directory: string): Promise<VbdPath[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .map((name) => /^vbd-(\d+)-(\d+)\.json$/.exec(name))
    .map((match) => match && parseVbdPath(`backend/vbd/${match[1]}/${match[2]}`))
    .filter((vbd) => vbd !== null && vbd !== undefined);
}

/** Removes a vbd's record and whatever a killed writer left of one. */
export async function removeRecord(directory: string, vbd: VbdPath): Promise<void> {
  const path = recordPath(directory, vbd);
  try {
    await Promise.all([rm(path, { force: true }), rm(`${path}.new`, { force: true })]);
  } catch (error) {
    if (errorCode(error) !== 'ENOTDIR') throw recordError('removed', path, error);
  }
}

function recordError(verb: string, path: string, cause: unknown): VbdError {
  return new VbdError(
    `the record of what is to be undone, ${path}, could not be ${verb}: ${errorMessage(cause)}`,
    { code: 'ERECORD', cause },
  );
}
