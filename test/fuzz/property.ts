import { effort } from '../bed/effort.js';
import { Random } from '../bed/random.js';

/** The seed of the first case. Each further case has the next seed. */
const SEED = Number(process.env.XEN_BLKBACK_SEED ?? 1);
/** The number of cases of each property. */
const CASES = Number(process.env.XEN_BLKBACK_CASES ?? effort(10_000, 1500));
/** The longest time of a case; milliseconds. It is far longer than any case on a busy machine. */
const LONGEST_MS = 2000;

/**
 * Defines a test of a property that must hold for every seed. A failure names its seed, by which
 * the same case can be made again.
 */
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
