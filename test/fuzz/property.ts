import { effort } from '../bed/effort.js';
import { Random } from '../bed/random.js';

/** The first of the seeds; each case has the next one. */
const SEED = Number(process.env.XEN_BLKBACK_SEED ?? 1);
/** How many cases each property is tried with. */
const CASES = Number(process.env.XEN_BLKBACK_CASES ?? effort(10_000, 1500));
/** No single case may take longer; milliseconds. It is far more than any takes on a busy machine. */
const LONGEST_MS = 2000;

/** A property that has to hold for whatever a seed makes. A failure names the seed, which makes it again. */
export function property(name: string, body: (random: Random) => void): void {
  it(name, function () {
    this.timeout(0);
    for (let seed = SEED; seed < SEED + CASES; seed++) {
      const before = performance.now();
      try {
        body(new Random(seed));
      } catch (error) {
        throw new Error(
          `${String(error)}\nagain: XEN_BLKBACK_SEED=${seed} XEN_BLKBACK_CASES=1 npx mocha 'dist/test/fuzz/*.js' -g ${JSON.stringify(name)}`,
          { cause: error },
        );
      }
      const took = performance.now() - before;
      if (took > LONGEST_MS) throw new Error(`seed ${seed} took ${took.toFixed(0)} ms`);
    }
  });
}
