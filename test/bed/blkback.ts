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

/** How the stand-in behaves; see test/bed/blkback.h. */
export interface BlkbackBehaviour {
  /** `diskseq` plays the kernel that checks it and writes `opened`; `stock` (default) does neither. */
  readonly guise?: 'diskseq' | 'stock';
  /** Pause between reading `physical-device` and opening; with `randomDelay` any time up to it. */
  readonly delayMs?: number;
  readonly randomDelay?: boolean;
  /** Opens wait for `kill('SIGUSR1')` or a `release`. */
  readonly hold?: boolean;
  /** Pause between the end of the sysfs entry and the close; 5 ms by default. */
  readonly closeDelayMs?: number;
  /** Closes wait for `kill('SIGUSR2')` or a `release`. */
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

/** What the stand-in can be told to put off. */
export type Held = 'open' | 'close' | 'events';

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
  /**
   * From now on something waits for a `release`, for the vbd of this key, which need not exist yet, or for
   * all with `*`: its open, although the number has been read already; its close, although sysfs does not
   * show the vbd any more; or whatever xenbus tells of the vbd, such as the end of its nodes.
   */
  hold(what: Held, key: string): Promise<void>;
  /** Lifts the hold of this key, all holds for `*`, and goes on with what waits. Resolves when it is done. */
  release(what: Held, key: string): Promise<void>;
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
  const control = join(directory, 'control');
  // Not below /tmp or /run, which are often mounted nodev.
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
          // Of those who waited earlier, thousands perhaps, nobody wants to be told.
          throw new Error(`blkback ${how}${signal.aborted ? '' : ` before: ${failure()}`}`);
        }),
      ]),
    );
  };
  const order = async (text: string): Promise<void> => {
    const done = (): number => log.read().filter((event) => event.text === text).length;
    const before = done();
    // Opened for each: after its end there is no reader, and then that must fail and not wait.
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
      // One that had lost xenstored has died of that, and has left what the kernel would have taken away.
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
