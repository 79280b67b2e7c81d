import { closeSync, openSync, readSync } from 'node:fs';

/** One line of the log. The event determines which of the optional fields are present. */
export interface BlkbackEvent {
  /** Milliseconds since the epoch, with a fraction. */
  readonly time: number;
  readonly event:
    | 'ready'
    | 'probe'
    | 'state'
    /** `physical-device` was read. Fields: `value`, `outcome`. */
    | 'physical-device'
    /**
     * The device is open. Fields: `dev`, `diskseq`, `mode`, `size`, `readOnly`, `sectorSize`,
     * `bytes`.
     */
    | 'opened'
    /** The device was opened and closed again because of its diskseq. Fields as in `opened`. */
    | 'refused'
    /** The open failed with `errno`. */
    | 'failed'
    /** An error was written to the error node. Fields: `errno`, `text`. */
    | 'error'
    /** The sysfs entry is gone. Field: `why`. */
    | 'removed'
    /** The device is closed. Fields: `dev`, `diskseq`. */
    | 'closed'
    /** A `hold` or `release` has been carried out. Field: `text`. */
    | 'control'
    | 'died';
  /** The domain number of the guest and the device number, as in `7/51712`. */
  readonly vbd?: string;
  /** `major:minor` in hex, as in `7:3`. */
  readonly dev?: string;
  /** The diskseq in decimal. */
  readonly diskseq?: string;
  /** The first 64 bytes, one character each, without the zeros at the end. */
  readonly bytes?: string;
  readonly size?: number;
  readonly readOnly?: 0 | 1;
  readonly sectorSize?: number;
  readonly mode?: string;
  readonly value?: string;
  readonly outcome?: string;
  readonly state?: number;
  readonly errno?: number;
  readonly text?: string;
  readonly why?: string;
  readonly reason?: string;
  readonly frontend?: string;
}

/** Returns an event as one line of JSON. */
export function asLine(event: BlkbackEvent): string {
  return JSON.stringify(event);
}

/**
 * Opens the log file. Each `read()` goes on where the last one ended, and returns all events so
 * far. A writer writes each line at once.
 */
export function openLog(path: string): { read(): readonly BlkbackEvent[]; close(): void } {
  // Empties a log that a predecessor has left in the same directory.
  const fd = openSync(path, 'w+');
  const buffer = Buffer.alloc(64 * 1024);
  const events: BlkbackEvent[] = [];
  let rest = '';
  let position = 0;
  let open = true;
  return {
    read() {
      for (let got = 1; open && got > 0; position += got) {
        got = readSync(fd, buffer, 0, buffer.length, position);
        const lines = (rest + buffer.toString('latin1', 0, got)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) events.push(JSON.parse(line) as BlkbackEvent);
      }
      return events;
    },
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}
