import { pause } from '../src/util/retry.js';
import { processState } from '../test/bed/process-state.js';
import { type Attach, type BenchStage, duration, type Handler, median } from './stage.js';

/** Milliseconds of each round. */
export type Times = ReadonlyMap<string, readonly number[]>;

const WARM_UP = 5;

/** One disk after another: script from exec to exit, and from the first node to blkback's open. */
export async function measureSingle(
  stage: BenchStage,
  rounds: number,
): Promise<{ readonly script: Times; readonly opened: Times }> {
  const script = new Map<string, number[]>();
  const opened = new Map<string, number[]>();
  // They take turns, so that a machine that slows down slows all of them down.
  for (let round = -WARM_UP; round < rounds; round++) {
    const note = (times: Map<string, number[]>, name: string, ms: number): void => {
      if (round >= 0) times.set(name, [...(times.get(name) ?? []), ms]);
    };
    note(script, 'bare', await stage.bare());
    note(script, 'node', await stage.node());
    for (const handler of stage.handlers) {
      const attach = await stage.attach(handler);
      await stage.detach(attach);
      note(script, handler, duration(attach.script));
      note(opened, handler, attach.untilOpened);
    }
  }
  return { script, opened };
}

/** What the command takes, from exec to exit, beside Node itself. */
export async function measureCommand(stage: BenchStage, rounds: number): Promise<Times> {
  const times = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const name of ['node', 'version', 'list'] as const) {
      times.set(name, [...(times.get(name) ?? []), await stage.command(name)]);
    }
  }
  return times;
}

/** Many disks of one guest at once. Milliseconds. */
export interface Burst {
  readonly handler: Handler;
  readonly count: number;
  /** From the first script's exec to the last one's exit. */
  readonly scripts: number;
  /** The same from the first node written. */
  readonly whole: number;
  /** Xen's script fails where another process takes its loop device, and does not try again. */
  readonly failed: number;
}

/** The median of some bursts. */
export async function measureBurst(
  stage: BenchStage,
  handler: Handler,
  count: number,
  rounds: number,
): Promise<Burst> {
  const bursts: Burst[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = Number(process.hrtime.bigint()) / 1e6;
    const attaches = await stage.attachMany(handler, count);
    const last = Math.max(...attaches.map(({ script }) => script.end));
    const first = Math.min(...attaches.map(({ script }) => script.start));
    await stage.dropAll(attaches);
    const failed = count - attaches.length;
    bursts.push({ handler, count, scripts: last - first, whole: last - start, failed });
  }
  bursts.sort((a, b) => a.scripts - b.scripts);
  const middle = bursts[Math.floor(rounds / 2)];
  if (middle === undefined) throw new Error('no rounds');
  return middle;
}

/** An add beside other disks: the median, in milliseconds. */
export interface Among {
  readonly handler: Handler;
  readonly attached: number;
  readonly milliseconds: number;
  readonly rounds: number;
}

export async function measureAmong(
  stage: BenchStage,
  attached: number,
  rounds: Readonly<Record<'daemon' | 'block', number>>,
): Promise<Among[]> {
  const found: Among[] = [];
  for (const handler of ['daemon', 'block'] as const) {
    const times: number[] = [];
    for (let round = 0; round < rounds[handler]; round++) {
      const attach = await stage.attach(handler);
      times.push(duration(attach.script));
      await stage.drop(attach);
    }
    found.push({ handler, attached, milliseconds: median(times), rounds: rounds[handler] });
  }
  return found;
}

/** What the daemon does when there is nothing to do. */
export interface Rest {
  readonly attached: number;
  readonly residentMiB: number;
  /** Of all its threads, in `seconds`. */
  readonly wakeUps: number;
  readonly seconds: number;
}

export async function measureRest(
  stage: BenchStage,
  attached: readonly Attach[],
  seconds: number,
): Promise<Rest> {
  const { pid } = stage.daemon.child;
  const { residentMiB } = processState(pid);
  // V8 tidies up for some seconds; request timers that were called off are forgotten after ten.
  await pause(14_000);
  const before = processState(pid).sleeps;
  await pause(seconds * 1000);
  const wakeUps = processState(pid).sleeps - before;
  return { attached: attached.length, residentMiB, wakeUps, seconds };
}
