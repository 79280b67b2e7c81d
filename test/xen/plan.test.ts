import assert from 'node:assert/strict';
import { DRIVERS, planRuns, SAMPLE } from './plan.js';

const NOTHING = { generation: [], driver: [], scenario: [], sample: false };

describe('what the Xen bed boots', () => {
  it('is everything on the first generation, and a sample on the others', () => {
    assert.deepEqual(planRuns(NOTHING), [
      { generation: 'trixie', driver: 'stock', scenarios: [] },
      { generation: 'trixie', driver: 'diskseq', scenarios: [] },
      { generation: 'bookworm', driver: 'stock', scenarios: SAMPLE },
      { generation: 'backports', driver: 'stock', scenarios: SAMPLE },
    ]);
  });

  it('is a sample everywhere if that is enough', () => {
    const planned = planRuns({ ...NOTHING, sample: true });
    assert.equal(planned.length, 4);
    for (const { scenarios } of planned) assert.equal(scenarios, SAMPLE);
  });

  it('is everything on a generation that is named', () => {
    assert.deepEqual(
      planRuns({ ...NOTHING, generation: ['backports'] }),
      DRIVERS.map((driver) => ({ generation: 'backports', driver, scenarios: [] })),
    );
  });

  it('is what is named, on the first generation', () => {
    assert.deepEqual(planRuns({ ...NOTHING, driver: ['stock'], scenario: ['daemon'] }), [
      { generation: 'trixie', driver: 'stock', scenarios: ['daemon'] },
    ]);
  });

  it('is refused if a name is not known', () => {
    assert.throws(() => planRuns({ ...NOTHING, generation: ['sid'] }), /--generation sid: one of/);
    assert.throws(() => planRuns({ ...NOTHING, driver: ['old'] }), /--driver old: one of/);
  });
});
