// systemd's journal, by its native protocol: entries of fields instead of lines
// (systemd.journal-fields(7), and https://systemd.io/JOURNAL_NATIVE_PROTOCOL for the encoding).

import { fstatSync } from 'node:fs';

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/**
 * Whether what is written to stderr goes to the journal: `JOURNAL_STREAM` has device and inode of the
 * stream that systemd made, but stderr may have been led elsewhere since, and the variable inherited.
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

/** One entry. A value that has a line end in it is told by its length. */
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
