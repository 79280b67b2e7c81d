import assert from 'node:assert/strict';
import { startWatchdog } from '../../../src/daemon/watchdog.js';
import { pause } from '../../../src/util/retry.js';

describe('the watchdog', () => {
  const PERIOD_MS = 60;

  async function signsOfLife(check: (signal: AbortSignal) => Promise<boolean>): Promise<number> {
    let signs = 0;
    {
      using _watchdog = startWatchdog({ periodMs: PERIOD_MS, check, onAlive: () => signs++ });
      await pause(4 * PERIOD_MS);
    }
    const then = signs;
    await pause(2 * PERIOD_MS);
    assert.equal(signs, then, 'none after its end');
    return signs;
  }

  it('gives signs of life while all is well', async () => {
    assert.ok((await signsOfLife(async () => true)) >= 4);
  });

  it('gives none where all is not well, the check fails or does not end', async () => {
    assert.equal(await signsOfLife(async () => false), 0);
    const failing = async (): Promise<boolean> => {
      throw new Error('no');
    };
    assert.equal(await signsOfLife(failing), 0);
    assert.equal(await signsOfLife(() => new Promise(() => {})), 0);
  });

  it('tells the check when its time is over', async () => {
    const untilAborted = (signal: AbortSignal): Promise<boolean> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    assert.equal(await signsOfLife(untilAborted), 0);
  });
});
