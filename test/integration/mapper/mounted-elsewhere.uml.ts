import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { failure } from '../../bed/assertions.js';
import { mountElsewhere } from '../../bed/mounts.js';
import { needs } from '../../bed/needs.js';
import { MARKER } from '../hotplug/fixture.js';
import { withMapper } from './bench.js';

describe('A mapper device that is mounted in another mount namespace', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'is detached as soon as blkback has closed it, and not before',
    withMapper({}, async (fixture, bench) => {
      const mapped = await bench.linear(MARKER);
      execFileSync('mke2fs', ['-q', '-F', mapped.path]);
      const vbd = await fixture.vbd(mapped.path, { mode: 'r' });
      await fixture.attach(vbd);
      await using _ = await mountElsewhere(fixture.bed.directory, '-o', 'ro', mapped.path);
      await fixture.blkback.hold('close', vbd.key);
      await fixture.close(vbd);
      const early = await failure('EHELD', fixture.detach(vbd, { timeoutMs: 2000 }));
      assert.match(early.message, /is still open in the kernel/);
      await fixture.blkback.release('close', vbd.key);
      await fixture.detach(vbd);
    }),
  );
});
