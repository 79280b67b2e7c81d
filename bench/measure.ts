import { pause } from '../src/util/retry.js';
import { processState } from '../test/bed/process-state.js';
import { type Attach, type BenchFixture, duration, type Handler, median } from './fixture.js';

/** For each name, the time of each round; milliseconds. */
export type Times = ReadonlyMap<string, readonly number[]>;

const WARM_UP = 5;

/**
 * Measures one disk after another: the script from exec to exit, and the time from the first node
 * to blkback's open.
 */
export async function measureSingle(
  fixture: BenchFixture,
  rounds: number,
): Promise<{ readonly script: Times; readonly opened: Times }> {
  const script = new Map<string, number[]>();
  const opened = new Map<string, number[]>();
  // The handlers take turns, so that a slow phase of the machine affects all of them.
  for (let round = -WARM_UP; round < rounds; round++) {
    const note = (times: Map<string, number[]>, name: string, ms: number): void => {
      if (round >= 0) times.set(name, [...(times.get(name) ?? []), ms]);
    };
    note(script, 'bare', await fixture.bare());
    note(script, 'node', await fixture.node());
    for (const handler of fixture.handlers) {
      const attach = await fixture.attach(handler);
      await fixture.detach(attach);
      note(script, handler, duration(attach.script));
      note(opened, handler, attach.untilOpened);
    }
  }
  return { script, opened };
}

/** Measures the command from exec to exit, and Node alone for comparison. */
export async function measureCommand(fixture: BenchFixture, rounds: number): Promise<Times> {
  const times = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const name of ['node', 'version', 'list'] as const) {
      times.set(name, [...(times.get(name) ?? []), await fixture.command(name)]);
    }
  }
  return times;
}

/** The times of attaching many disks of one guest at once; milliseconds. */
export interface Burst {
  readonly handler: Handler;
  readonly count: number;
  /** The time from the exec of the first script to the exit of the last one. */
  readonly scripts: number;
  /** The time from before the first node is written to the exit of the last script. */
  readonly whole: number;
  /**
   * The number of failed adds. Xen's script fails without another try if another process takes its
   * loop device.
   */
  readonly failed: number;
}

/** Measures several bursts, and returns the burst with the median time of the scripts. */
export async function measureBurst(
  fixture: BenchFixture,
  handler: Handler,
  count: number,
  rounds: number,
): Promise<Burst> {
  const bursts: Burst[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = Number(process.hrtime.bigint()) / 1e6;
    const attaches = await fixture.attachMany(handler, count);
    const last = Math.max(...attaches.map(({ script }) => script.end));
    const first = Math.min(...attaches.map(({ script }) => script.start));
    await fixture.dropAll(attaches);
    const failed = count - attaches.length;
    bursts.push({ handler, count, scripts: last - first, whole: last - start, failed });
  }
  bursts.sort((a, b) => a.scripts - b.scripts);
  const middle = bursts[Math.floor(rounds / 2)];
  if (middle === undefined) throw new Error('no rounds');
  return middle;
}

/** The median time of an add beside other attached disks; milliseconds. */
export interface Among {
  readonly handler: Handler;
  readonly attached: number;
  readonly milliseconds: number;
  readonly rounds: number;
}

/** Measures an add beside `attached` other disks, by the daemon and by `block`. */
export async function measureAmong(
  fixture: BenchFixture,
  attached: number,
  rounds: Readonly<Record<'daemon' | 'block', number>>,
): Promise<Among[]> {
  const found: Among[] = [];
  for (const handler of ['daemon', 'block'] as const) {
    const times: number[] = [];
    for (let round = 0; round < rounds[handler]; round++) {
      const attach = await fixture.attach(handler);
      times.push(duration(attach.script));
      await fixture.drop(attach);
    }
    found.push({ handler, attached, milliseconds: median(times), rounds: rounds[handler] });
  }
  return found;
}

/** The memory and the wake-ups of an idle daemon. */
export interface Rest {
  readonly attached: number;
  readonly residentMiB: number;
  /** The number of wake-ups of all threads within `seconds`. */
  readonly wakeUps: number;
  readonly seconds: number;
}

/** Measures an idle daemon for some seconds, after it has calmed down. */
export async function measureRest(
  fixture: BenchFixture,
  attached: readonly Attach[],
  seconds: number,
): Promise<Rest> {
  const { pid } = fixture.daemon.child;
  const { residentMiB } = processState(pid);
  // V8 collects garbage for some seconds, and cancelled request timers go after ten seconds.
  await pause(14_000);
  const before = processState(pid).sleeps;
  await pause(seconds * 1000);
  const wakeUps = processState(pid).sleeps - before;
  return { attached: attached.length, residentMiB, wakeUps, seconds };
}
