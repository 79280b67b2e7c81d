import { Random } from '../bed/random.js';

/** Something that is to happen. */
export interface Event {
  readonly time: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** More than this, and a schedule goes in circles. */
const MOST_EVENTS = 200_000;

/**
 * Virtual time: one event after another, in the order of their times, and what follows from one (all that
 * its promises bring about) before the next one. Everything that is left to chance comes from the seed.
 */
export class Scheduler {
  readonly random: Random;
  /** Milliseconds. */
  now = 0;
  /** What has happened, as a story; kept only where somebody wants to read it. */
  readonly story: string[] = [];
  readonly #tells: boolean;
  readonly #heap: Event[] = [];
  #order = 0;
  #count = 0;

  constructor(seed: number, tells: boolean) {
    this.random = new Random(seed);
    this.#tells = tells;
  }

  get count(): number {
    return this.#count;
  }

  tell(who: string, what: () => string): void {
    if (this.#tells) this.story.push(`${this.now.toFixed(3).padStart(11)} ms  ${who}: ${what()}`);
  }

  after(ms: number, run: () => void): Event {
    const event = { time: this.now + ms, order: this.#order++, run };
    this.#push(event);
    return event;
  }

  /** Soon, but in no order that could be relied on. */
  soon(run: () => void): Event {
    return this.after(this.random.fraction() * 0.2, run);
  }

  /** Runs until nothing is left to happen, `isOver`, or time is up. */
  async run(isOver: () => boolean, until = Number.POSITIVE_INFINITY): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      // Promises can be settled at once only where none is being settled.
      setImmediate(() => {
        try {
          this.#runNow(isOver, until);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #runNow(isOver: () => boolean, until: number): void {
    while (!isOver()) {
      const event = this.#pop();
      if (event === undefined) return;
      if (event.time > until) {
        this.#push(event);
        return;
      }
      if (event.run === undefined) continue;
      if (++this.#count > MOST_EVENTS) throw new Error('the schedule does not come to an end');
      this.now = event.time;
      event.run();
      settle();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent] as Event, event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event))
        child++;
      if (isBefore(last, heap[child] as Event)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

/** Runs all that promises bring about by now. Node's own loop does it after each callback, by this call. */
const settle = (process as unknown as { readonly _tickCallback: () => void })._tickCallback;

function isBefore(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
