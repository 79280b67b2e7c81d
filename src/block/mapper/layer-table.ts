import { getRandom } from '../../linux/calls.js';
import { type Devnum, formatDevnum } from '../../linux/devnum.js';

/** AES-256 in XTS mode takes two keys of 256 bits. */
const KEY_BYTES = 64;

/**
 * Returns the parameters of a layer's only table line, NUL-terminated. The parameters of `crypt`
 * hold the key, so the caller must wipe the buffer. The key comes from the kernel's random source
 * and never becomes a string, because nobody can wipe a string.
 */
export function layerParams(kind: 'linear' | 'crypt', base: Devnum, blockSize: number): Buffer {
  const device = formatDevnum(base);
  if (kind === 'linear') return Buffer.from(`${device} 0\0`);
  // Documentation/admin-guide/device-mapper/dm-crypt.rst: cipher, key, first IV, device, offset,
  // options. Discards are allowed because the volume is made anew each time, and its file should
  // stay sparse.
  const options = ['allow_discards', ...(blockSize > 512 ? [`sector_size:${blockSize}`] : [])];
  const head = 'aes-xts-plain64 ';
  const tail = ` 0 ${device} 0 ${options.length} ${options.join(' ')}\0`;
  const params = Buffer.alloc(head.length + 2 * KEY_BYTES + tail.length);
  const key = Buffer.alloc(KEY_BYTES);
  try {
    getRandom(key);
    params.write(head, 0);
    key.forEach((byte, index) => {
      const at = head.length + 2 * index;
      params[at] = hexDigit(byte >> 4);
      params[at + 1] = hexDigit(byte & 15);
    });
    params.write(tail, head.length + 2 * KEY_BYTES);
    return params;
  } finally {
    key.fill(0);
  }
}

/** Returns the ASCII code of a hex digit. */
function hexDigit(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}
