import { readSync } from 'node:fs';
import { openExport } from '../../../../src/block/open-export.js';
import { errorCode, errorMessage } from '../../../../src/errors.js';
import { request } from '../fixture.js';

// This program exports the file that it is given, and prints the result. It is a process of its
// own, because the test gives it another /dev.

try {
  await using device = await openExport(request(process.argv[2] ?? ''));
  const head = Buffer.alloc(16);
  readSync(device.fd.fd, head);
  console.log(device.path, head.toString('latin1').replace(/\0.*/, ''));
} catch (error) {
  console.log(errorCode(error), errorMessage(error));
}
