import assert from 'node:assert/strict';
import { runSteps, type Step } from '../../../src/util/steps.js';

describe('runSteps', () => {
  const told: string[] = [];
  beforeEach(() => told.splice(0));
  const listener = {
    onStart: ({ name }: Step<string>) => void told.push(`start ${name}`),
    onDone: ({ name }: Step<string>, detail: string) => void told.push(`done ${name} ${detail}`),
  };
  const step = (name: string, failure?: Error): Step<string> => ({
    name,
    waitsFor: name,
    run: async () => {
      if (failure) throw failure;
      return 'well';
    },
    undo: async (error) => void told.push(`undo ${name} ${error}`),
  });

  it('runs them in order and tells of each', async () => {
    await runSteps([step('a'), step('b')], listener);
    assert.deepEqual(told, ['start a', 'done a well', 'start b', 'done b well']);
  });

  it('undoes what was done in reverse order, but not the step that failed', async () => {
    const failure = new Error('c failed');
    const run = runSteps([step('a'), step('b'), step('c', failure), step('d')], listener);
    await assert.rejects(run, failure);
    assert.deepEqual(told.slice(4), [
      'start c',
      'undo b Error: c failed',
      'undo a Error: c failed',
    ]);
  });

  it('undoes the other steps although one cannot be undone, and tells of that one', async () => {
    const stuck: Step<string> = { ...step('b'), undo: () => Promise.reject(new Error('stuck')) };
    const left: string[] = [];
    const onLeft = ({ name }: Step<string>, error: unknown) => void left.push(`${name} ${error}`);
    const failure = new Error('c failed');
    const run = runSteps([step('a'), stuck, step('c', failure)], { ...listener, onLeft });
    await assert.rejects(run, failure);
    assert.deepEqual(told.slice(-1), ['undo a Error: c failed']);
    assert.deepEqual(left, ['b Error: stuck']);
  });
});
