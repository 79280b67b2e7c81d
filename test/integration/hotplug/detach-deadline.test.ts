import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { failure, only } from '../../bed/assertions.js';
import { sysfsAttribute } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { on } from './fixture.js';
import { assertWithin, hold } from './holder.js';

describe('detach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('at the deadline says', () => {
    it(
      'which process has a loop device open, and can be repeated when it is gone',
      on({ guise: 'diskseq' }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        const loop = only(fixture.loops());
        await using holder = await hold(loop);
        await fixture.close(vbd);
        const start = performance.now();
        const error = await failure('EHELD', fixture.detach(vbd, { timeoutMs: 800 }));
        assertWithin(start, 800);
        assert.ok(error.message.includes(`process ${holder.pid} (sleep)`), error.message);
        assert.ok(error.message.includes(sysfsAttribute(loop, 'dev')), error.message);
        const { status, stderr } = await fixture.script(vbd, 'remove', {
          XEN_BLKBACK_TIMEOUT: '0.8',
        });
        assert.equal(status, 1);
        assert.ok(stderr.includes(`process ${holder.pid} (sleep)`), stderr);
        await holder.end();
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'which process has a loop device open that it was to unbind',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        await fixture.attach(vbd);
        await using holder = await hold(only(fixture.loops()));
        await fixture.delete(vbd);
        const error = await failure('EHELD', fixture.detach(vbd, { timeoutMs: 500 }));
        assert.ok(error.message.includes(`process ${holder.pid} (sleep)`), error.message);
        assert.equal(fixture.records().length, 1, 'nothing is left to repeat it with');
        await holder.end();
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'that this process has it open',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        const fd = openSync(only(fixture.loops()), 'r');
        try {
          await fixture.close(vbd);
          const { stderr } = await fixture.script(vbd, 'remove', { XEN_BLKBACK_TIMEOUT: '0.8' });
          assert.ok(stderr.includes(`process ${process.pid} (`), stderr);
        } finally {
          closeSync(fd);
        }
        await fixture.detach(vbd);
      }),
    );

    it(
      'that blkback has not closed the device yet',
      on({ guise: 'stock', holdClose: true }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        await fixture.close(vbd);
        await fixture.logged(vbd, 'removed');
        const error = await failure('EHELD', fixture.detach(vbd, { timeoutMs: 500 }));
        assert.ok(error.message.includes('the kernel (blkback, it seems)'), error.message);
        assert.equal(fixture.events(vbd, 'closed').length, 0);
        fixture.blkback.kill('SIGUSR2');
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'that blkback still has the vbd',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        // The toolstack has asked for the end of the vbd, and the guest does not answer.
        await fixture.store.write(`${vbd.backendPath}/online`, '0');
        await fixture.store.write(`${vbd.backendPath}/state`, '5');
        const start = performance.now();
        const error = await failure('ETIMEDOUT', fixture.detach(vbd, { timeoutMs: 500 }));
        assertWithin(start, 500);
        assert.match(error.message, /^blkback still has device 7:[0-9a-f]+ \(hex\) open/);
        only(fixture.loops());
      }),
    );
  });
});
