import { execFile } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
const BLOCK = 4096;

/** A file of data, and a file of hashes that veritysetup has made for it. */
export interface VerityImage {
  readonly data: string;
  readonly hashes: string;
  /** The root hash in lower-case hex. */
  readonly root: string;
  readonly salt: string;
  readonly algorithm: string;
  readonly blocks: number;
}

/** Makes the hash tree beside a file whose size is a multiple of 4096 bytes. */
export async function hashTree(
  data: string,
  blocks: number,
  algorithm = 'sha256',
): Promise<VerityImage> {
  const hashes = `${data}.hashes`;
  writeFileSync(hashes, '');
  const salt = 'c0ffee'.repeat(8);
  const options = ['--no-superblock', '--hash', algorithm, '--salt', salt];
  const size = ['--data-blocks', String(blocks)];
  const { stdout } = await run('veritysetup', ['format', ...options, ...size, data, hashes]);
  const root = /Root hash:\s*([0-9a-f]+)/.exec(stdout)?.[1];
  if (root === undefined) throw new Error(`veritysetup printed no root hash: ${stdout}`);
  // A loop device consists of whole sectors, so the file is extended.
  truncateSync(hashes, 1024 * 1024);
  return { data, hashes, root, salt, algorithm, blocks };
}

/** Returns a table for the devices of the data and of the hashes. */
export function verityTable(
  image: VerityImage,
  data: string,
  hashes: string,
  ...options: string[]
): string {
  const { blocks, algorithm, root, salt } = image;
  const sizes = `${BLOCK} ${BLOCK} ${blocks} 0`;
  const extra = options.length === 0 ? '' : ` ${options.length} ${options.join(' ')}`;
  const sectors = (blocks * BLOCK) / 512;
  return `0 ${sectors} verity 1 ${data} ${hashes} ${sizes} ${algorithm} ${root} ${salt}${extra}`;
}
