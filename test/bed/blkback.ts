import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startChild, stopChild } from './child.js';
import { onDirectoryEvent, within } from './deadline.js';
import { built, temporaryDirectory } from './paths.js';
import type { Xenstored } from './xenstored.js';

/** How the stand-in behaves; see test/bed/blkback.h. */
export interface BlkbackBehaviour {
  /** `diskseq` plays the kernel that checks it and writes `opened`; `stock` (default) does neither. */
  readonly guise?: 'diskseq' | 'stock';
  /** Pause between reading `physical-device` and opening; with `randomDelay` any time up to it. */
  readonly delayMs?: number;
  readonly randomDelay?: boolean;
  /** Opens wait for `kill('SIGUSR1')`. */
  readonly hold?: boolean;
  /** Pause between the end of the sysfs entry and the close; 5 ms by default. */
  readonly closeDelayMs?: number;
  /** Closes wait for `kill('SIGUSR2')`. */
  readonly holdClose?: boolean;
  /** As if the driver's module were not loaded: state stays 1. */
  readonly noProbe?: boolean;
  /** Never reacts to `physical-device`. */
  readonly noOpen?: boolean;
  /** An errno with which every open fails. */
  readonly failOpen?: number;
}

export interface BlkbackOptions extends BlkbackBehaviour {
  /** For the sysfs tree and the log; a fresh temporary one by default, removed at the end. */
  readonly directory?: string;
}

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

/** A running stand-in for xen-blkback. What it logs, not what the project says, is the truth. */
export interface Blkback extends AsyncDisposable {
  readonly pid: number;
  /** Stands for /sys. */
  readonly sysfs: string;
  readonly devDir: string;
  readonly logFile: string;
  /** What it has logged so far. */
  log(): readonly BlkbackEvent[];
  /** The first event that fits, also one that was logged before the call. */
  waitFor(
    fits: (event: BlkbackEvent) => boolean,
    deadlineMs?: number,
    what?: string,
  ): Promise<BlkbackEvent>;
  kill(signal: NodeJS.Signals): void;
  /** Ends it: every device is closed. Idempotent. */
  stop(): Promise<void>;
}

const START_DEADLINE_MS = 20_000;
const EVENT_DEADLINE_MS = 5000;

/** Starts the stand-in on a xenstored; when it resolves, existing backends have been probed. */
export async function startBlkback(
  xenstored: Pick<Xenstored, 'env'>,
  options: BlkbackOptions = {},
): Promise<Blkback> {
  const program = built('blkback');
  if (!existsSync(program)) throw new Error(`${program} is not built: run make -C test/bed`);
  const directory = options.directory ?? temporaryDirectory();
  mkdirSync(directory, { recursive: true });
  const sysfs = join(directory, 'sys');
  const logFile = join(directory, 'blkback.log');
  // Not below /tmp or /run, which are often mounted nodev.
  const devDir = mkdtempSync('/dev/xen-bed-');
  const log = openLog(logFile);
  const cleanUp = () => {
    log.close();
    rmSync(devDir, { recursive: true, force: true });
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  };
  const args = ['--sysfs', sysfs, '--dev-dir', devDir, '--log', logFile, ...flags(options)];
  const child = await startChild(program, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env.PATH, ...xenstored.env },
  }).catch((error: unknown) => {
    cleanUp();
    throw error;
  });

  const waitFor: Blkback['waitFor'] = (fits, deadlineMs = EVENT_DEADLINE_MS, what = `${fits}`) => {
    const failure = () => `${what}; blkback logged:\n${log.read().map(asLine).join('\n')}`;
    let seen = 0;
    const firstThatFits = () => {
      const events = log.read();
      while (seen < events.length) {
        const event = events[seen++];
        if (event && fits(event)) return event;
      }
      return undefined;
    };
    return within(deadlineMs, failure, (signal) =>
      Promise.race([
        onDirectoryEvent(dirname(logFile), signal, firstThatFits),
        child.ended.then((how) => {
          // Of those who waited earlier, thousands perhaps, nobody wants to be told.
          throw new Error(`blkback ${how}${signal.aborted ? '' : ` before: ${failure()}`}`);
        }),
      ]),
    );
  };
  const blkback: Blkback = {
    pid: child.pid,
    sysfs,
    devDir,
    logFile,
    log: () => [...log.read()],
    waitFor,
    kill: (signal) => void child.process.kill(signal),
    async stop() {
      await stopChild(child);
      cleanUp();
    },
    [Symbol.asyncDispose]: () => blkback.stop(),
  };
  try {
    await waitFor(({ event }) => event === 'ready', START_DEADLINE_MS, 'blkback ready');
  } catch (error) {
    await blkback.stop();
    throw error;
  }
  return blkback;
}

function flags(behaviour: BlkbackBehaviour): string[] {
  const list = ['--guise', behaviour.guise ?? 'stock'];
  const number = (flag: string, value: number | undefined) => {
    if (value !== undefined) list.push(flag, String(value));
  };
  const boolean = (flag: string, value: boolean | undefined) => {
    if (value === true) list.push(flag);
  };
  number('--delay-ms', behaviour.delayMs);
  boolean('--random-delay', behaviour.randomDelay);
  boolean('--hold', behaviour.hold);
  number('--close-delay-ms', behaviour.closeDelayMs);
  boolean('--hold-close', behaviour.holdClose);
  boolean('--no-probe', behaviour.noProbe);
  boolean('--no-open', behaviour.noOpen);
  number('--fail-open', behaviour.failOpen);
  return list;
}

function asLine(event: BlkbackEvent): string {
  return JSON.stringify(event);
}

/** The log file, read on from where the last read ended. Each of its lines is written at once. */
function openLog(path: string): { read(): readonly BlkbackEvent[]; close(): void } {
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
