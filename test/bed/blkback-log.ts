import { closeSync, openSync, readSync } from 'node:fs';

/** A line of the log. Which of the optional fields there are depends on the event. */
export interface BlkbackEvent {
  /** Milliseconds since the epoch, with a fraction. */
  readonly time: number;
  readonly event:
    | 'ready'
    | 'probe'
    | 'state'
    /** `physical-device` was read: `value`, `outcome`. */
    | 'physical-device'
    /** The device is open: `dev`, `diskseq`, `mode`, `size`, `readOnly`, `sectorSize`, `bytes`. */
    | 'opened'
    /** It was opened, and closed again for its diskseq; fields as in `opened`. */
    | 'refused'
    /** The open failed with `errno`. */
    | 'failed'
    /** What went to the error node: `errno`, `text`. */
    | 'error'
    /** The sysfs entry is gone: `why`. */
    | 'removed'
    /** The device is closed: `dev`, `diskseq`. */
    | 'closed'
    /** A `hold` or `release` has been done: `text`. */
    | 'control'
    | 'died';
  /** `F/V`, as in `7/51712`. */
  readonly vbd?: string;
  /** `major:minor` in hex, as in `7:3`. */
  readonly dev?: string;
  /** Decimal. */
  readonly diskseq?: string;
  /** The first 64 bytes, a character for each, without zeros at the end. */
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

export function asLine(event: BlkbackEvent): string {
  return JSON.stringify(event);
}

/** The log file, read on from where the last read ended. Each of its lines is written at once. */
export function openLog(path: string): { read(): readonly BlkbackEvent[]; close(): void } {
  // A log left by a predecessor in the same directory is not this one's.
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
