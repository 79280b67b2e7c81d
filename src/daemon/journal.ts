// The native protocol of systemd's journal, whose entries consist of fields instead of lines.
// systemd.journal-fields(7) describes the fields, and
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL describes the encoding.

import { fstatSync } from 'node:fs';

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/**
 * Tells whether stderr leads to the journal. `JOURNAL_STREAM` holds the device and the inode of the
 * stream that systemd made. Both are compared with stderr, because stderr may have been redirected
 * since, and the variable may be inherited.
 */
export function isStderrJournal(environment: NodeJS.ProcessEnv): boolean {
  const stream = environment.JOURNAL_STREAM;
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(2, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** Encodes one entry. A value that contains a line end is preceded by its length. */
export function encodeJournalEntry(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) => {
      if (!value.includes('\n')) return [Buffer.from(`${name}=${value}\n`)];
      const bytes = Buffer.from(value);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      return [Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')];
    }),
  );
}
