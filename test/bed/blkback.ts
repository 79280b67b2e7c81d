import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { asLine, type BlkbackEvent, openLog } from './blkback-log.js';
import { startChild, stopChild } from './child.js';
import { onDirectoryEvent, within } from './deadline.js';
import { built, temporaryDirectory } from './paths.js';
import type { Xenstored } from './xenstored.js';

export type { BlkbackEvent };

/** The behaviour of the stand-in, which test/bed/blkback.h describes. */
export interface BlkbackBehaviour {
  /** `diskseq` checks the diskseq and writes `opened`. `stock`, the default, does neither. */
  readonly guise?: 'diskseq' | 'stock';
  /** The time from reading `physical-device` to opening; `randomDelay` makes it the maximum. */
  readonly delayMs?: number;
  readonly randomDelay?: boolean;
  /** Makes opens wait for `kill('SIGUSR1')` or a `release`. */
  readonly hold?: boolean;
  /** The time between the end of the sysfs entry and the close; 5 ms by default. */
  readonly closeDelayMs?: number;
  /** Makes closes wait for `kill('SIGUSR2')` or a `release`. */
  readonly holdClose?: boolean;
  /** Behaves as if the driver's module were not loaded: the state stays 1. */
  readonly noProbe?: boolean;
  /** Never reacts to `physical-device`. */
  readonly noOpen?: boolean;
  /** The errno with which every open fails. */
  readonly failOpen?: number;
}

/** Options of `startBlkback`. */
export interface BlkbackOptions extends BlkbackBehaviour {
  /** The directory for sysfs and log. The default is a temporary one that `stop` removes. */
  readonly directory?: string;
}

/** The actions that the stand-in can hold back. */
export type Held = 'open' | 'close' | 'events';

/** A running stand-in for xen-blkback. Tests trust its log, and not what the project says. */
export interface Blkback extends AsyncDisposable {
  readonly pid: number;
  /** The directory that stands for /sys. */
  readonly sysfs: string;
  readonly devDir: string;
  readonly logFile: string;
  /** Returns all events that it has logged so far. */
  log(): readonly BlkbackEvent[];
  /** Waits for the first event that fits, which may have been logged before the call. */
  waitFor(
    fits: (event: BlkbackEvent) => boolean,
    deadlineMs?: number,
    what?: string,
  ): Promise<BlkbackEvent>;
  /**
   * Holds back an action until a `release`, for the vbd of this key, which need not exist yet, or
   * for all with `*`. `open` is held after the number has been read, and `close` after sysfs has
   * dropped the vbd. `events` holds all events of xenbus about the vbd, such as the end of its
   * nodes.
   */
  hold(what: Held, key: string): Promise<void>;
  /** Lifts the hold of a key, or all holds for `*`, and resolves when the actions are done. */
  release(what: Held, key: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** Ends the stand-in, which closes every device. Idempotent. */
  stop(): Promise<void>;
}

const START_DEADLINE_MS = 20_000;
const EVENT_DEADLINE_MS = 5000;

/** Starts the stand-in on a xenstored. Resolves when it has probed all existing backends. */
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
  const control = join(directory, 'control');
  // This directory is not below /tmp or /run, because both are often mounted nodev.
  const devDir = mkdtempSync('/dev/xen-bed-');
  const log = openLog(logFile);
  const cleanUp = () => {
    log.close();
    rmSync(devDir, { recursive: true, force: true });
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  };
  const args = ['--sysfs', sysfs, '--dev-dir', devDir, '--log', logFile, '--control', control];
  const child = await startChild(program, [...args, ...flags(options)], {
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
          // Thousands of earlier waiters may end here, and nobody needs their long message.
          throw new Error(`blkback ${how}${signal.aborted ? '' : ` before: ${failure()}`}`);
        }),
      ]),
    );
  };
  const order = async (text: string): Promise<void> => {
    const done = (): number => log.read().filter((event) => event.text === text).length;
    const before = done();
    // Opened for each command. After the end of the stand-in, the open fails instead of waiting.
    const fifo = openSync(control, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(fifo, `${text}\n`);
    closeSync(fifo);
    await waitFor(() => done() > before, EVENT_DEADLINE_MS, text);
  };
  const blkback: Blkback = {
    pid: child.pid,
    sysfs,
    devDir,
    logFile,
    log: () => [...log.read()],
    waitFor,
    hold: (what, key) => order(`hold-${what} ${key}`),
    release: (what, key) => order(`release-${what} ${key}`),
    kill: (signal) => void child.process.kill(signal),
    async stop() {
      await stopChild(child);
      // A stand-in that has died of a lost xenstored leaves entries that a kernel would remove.
      rmSync(join(sysfs, 'bus/xen-backend/devices'), { recursive: true, force: true });
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
