import assert from 'node:assert/strict';
import { type Bed, startBed } from '../../bed/bed.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';
import type { Found } from './found.js';
import { DisposableStack, LEFTOVERS } from './leftovers.js';

/** The guest of the first leftover. Each has a guest of its own. */
const FIRST = 11;

/** All leftovers of the table at once, on one host, and what audit and gc say of them. */
describe('What is left behind on a host', function () {
  this.timeout(90_000);
  let bed: Bed;
  let store: Awaited<ReturnType<typeof openStore>>;
  let fixture: HotplugFixture;
  const end = new DisposableStack();
  const objects: string[] = [];
  let found: Found[] = [];
  let dry = '';
  let ended: (Found & { error: string | null })[] = [];
  let left: Found[] = [];
  let rest: Found[] = [];

  before(async function () {
    needs(this, 'root', 'loop', 'xenstored');
    bed = await startBed({ guise: 'diskseq' });
    store = await openStore(bed);
    fixture = new HotplugFixture(bed, store);
    for (const [index, { leave }] of LEFTOVERS.entries()) {
      objects.push(await leave(fixture, FIRST + index, end));
    }
    found = await audit();
    dry = (await fixture.cli(['gc'])).stdout;
    const real = await fixture.cli(['gc', '--yes', '--json']);
    assert.deepEqual([real.status, real.stderr], [0, ''], real.stdout);
    ({ ended, left } = assertSchema('gc', real.stdout) as unknown as {
      ended: typeof ended;
      left: Found[];
    });
    rest = await audit();
  });
  after(async () => {
    await end.dispose();
    await store?.close();
    await bed?.[Symbol.asyncDispose]();
  });

  /** What an audit says of this bed: the machine has loop devices of other tests, too. */
  async function audit(): Promise<Found[]> {
    const { stdout, stderr } = await fixture.cli(['audit', '--json']);
    assert.equal(stderr, '');
    const { findings } = assertSchema('audit', stdout) as unknown as { findings: Found[] };
    return findings.filter(
      ({ kind, meaning }) => kind !== 'loop-unexplained' || meaning.includes(bed.directory),
    );
  }

  const names = (list: readonly Found[]): string[] =>
    list.map(({ kind, object }) => `${kind} ${object}`).sort();
  const expected = (isLeft: boolean): string[] =>
    LEFTOVERS.flatMap(({ kind, left }, index) =>
      (left !== undefined) === isLeft ? [`${kind} ${objects[index]}`] : [],
    ).sort();

  it('is found and named, and nothing else is', () => {
    assert.ok(LEFTOVERS.length >= 12);
    assert.deepEqual(names(found), [...expected(true), ...expected(false)].sort());
  });

  for (const [index, { what, kind, left: reason }] of LEFTOVERS.entries()) {
    it(`${what}: gc ${reason === undefined ? 'ends it' : 'says why it does not'}`, () => {
      const isIt = (one: Found): boolean => one.kind === kind && one.object === objects[index];
      const title = `${objects[index]} (${kind}):`;
      if (reason === undefined) {
        assert.ok(dry.includes(`would end ${title}`), dry);
        assert.deepEqual([found.find(isIt)?.automatic, found.find(isIt)?.reason], [true, null]);
        assert.equal(ended.find(isIt)?.error, null);
        assert.equal(rest.find(isIt), undefined);
      } else {
        const text = dry
          .slice(dry.indexOf(`left to you ${title}`))
          .split('\n')
          .slice(0, 4);
        assert.match(text.join('\n'), /^left to you .*\n {4}.*\n {4}to end it: .*\n {4}gc leaves/);
        assert.match(text[3] ?? '', reason);
        assert.match(left.find(isIt)?.reason ?? '', reason);
        assert.ok(rest.find(isIt));
      }
    });
  }

  it('is all that gc has ended, and what blkback had open stays open', () => {
    assert.deepEqual(names(rest), expected(true));
    const isOpen = ({ kind }: Found): boolean =>
      ['diskseq-differs', 'nodes-gone', 'dom0-waits'].includes(kind);
    for (const { object } of left.filter(isOpen)) {
      const log = bed.blkback.log().filter(({ vbd }) => vbd === object);
      assert.deepEqual(log.map(({ event }) => event).includes('closed'), false, object);
    }
  });

  it('is gone when a person has ended the rest', async () => {
    for (const [index, { tidy }] of LEFTOVERS.entries()) await tidy?.(fixture, FIRST + index);
    await end.dispose();
    // The kernel's errors about guests that were there a moment ago are left now.
    assert.equal((await fixture.cli(['gc', '--yes'])).status, 0);
    assert.deepEqual(await audit(), []);
    fixture.assertNothingLeft();
  });
});
