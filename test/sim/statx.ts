import { FILES_DEV } from './kernel/kernel.js';
import type { Node } from './kernel/nodes.js';

const MODES = {
  file: 0o100600,
  'device-node': 0o060600,
  char: 0o020600,
  directory: 0o040700,
  vbd: 0o040700,
  text: 0o100400,
  socket: 0o140600,
};

/** Fills the `struct statx` of linux/stat.h. */
export function fillStatx(node: Node, buffer: Buffer): number {
  const rdev = node.kind === 'device-node' ? node.devnum : { major: 0, minor: 0 };
  buffer.fill(0);
  buffer.writeUInt16LE(MODES[node.kind], 28);
  buffer.writeBigUInt64LE(node.ino, 32);
  buffer.writeBigUInt64LE(node.kind === 'file' ? node.size : 0n, 40);
  buffer.writeUInt32LE(rdev.major, 128);
  buffer.writeUInt32LE(rdev.minor, 132);
  buffer.writeUInt32LE(FILES_DEV.major, 136);
  buffer.writeUInt32LE(FILES_DEV.minor, 140);
  return 0;
}
