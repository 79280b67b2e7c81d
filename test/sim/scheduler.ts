import { Random } from '../bed/random.js';

/** A future event. */
export interface Event {
  readonly time: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** The largest number of events. A schedule with more goes in circles. */
const MOST_EVENTS = 200_000;

/**
 * The virtual time. It runs events in the order of their times. All consequences of an event, such
 * as the reactions of its promises, come before the next event. The seed determines everything that
 * is random.
 */
export class Scheduler {
  readonly random: Random;
  /** The present virtual time; milliseconds. */
  now = 0;
  /** The lines that tell what has happened. They are kept only if they are wanted. */
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

  /** Runs a function soon, but in a random order. */
  soon(run: () => void): Event {
    return this.after(this.random.fraction() * 0.2, run);
  }

  /** Runs events until none is left, `isOver` returns true, or the time `until` is reached. */
  async run(isOver: () => boolean, until = Number.POSITIVE_INFINITY): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      // `settle` works only outside of the reactions of promises.
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

/**
 * Runs all pending reactions of promises. Node's event loop makes this call after each callback.
 */
const settle = (process as unknown as { readonly _tickCallback: () => void })._tickCallback;

function isBefore(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
