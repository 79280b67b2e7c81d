import assert from 'node:assert/strict';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import {
  ATTACHED,
  create,
  FAILED,
  meanwhile,
  ROOT,
  SENTENCE,
  withTracedFixture,
  write,
} from './driver-domain.js';

/** The longest time in milliseconds from a failure in a driver domain to the end of the command. */
const A_SECOND = 1000;

describe('The vbds of a driver domain, seen from here', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('are waited for, and the wait ends with the sentence of that domain within a second', () =>
    withTracedFixture(async (fixture) => {
      const wait = (key: string, ...words: string[]) =>
        fixture.cli(['wait', key, '--backend-domain', '5', '--json', ...words]);
      await create(fixture, '8/51712');
      const failed = await meanwhile(fixture, '8/51712', wait('8/51712', '--opened'), () =>
        write(fixture, '8/51712', FAILED),
      );
      assert.equal(failed.status, 1);
      assert.match(failed.stderr, new RegExp(`domain 5 could not attach 8/51712: ${SENTENCE}`));
      assert.equal(JSON.parse(failed.stdout).error.code, 'EATTACH');
      assert.ok(failed.after < A_SECOND, `${failed.after} ms`);
      // This wait begins after the failure.
      assert.equal((await wait('8/xvda')).status, 1);

      await create(fixture, '9/51712');
      const attached = await meanwhile(fixture, '9/51712', wait('9/51712'), () =>
        write(fixture, '9/51712', ATTACHED),
      );
      assert.equal(attached.status, 0, attached.stderr);
      assert.deepEqual(
        [(assertSchema('wait', attached.stdout) as Record<string, unknown>)['opened-by']],
        ['hotplug-status'],
      );
      assert.ok(attached.after < A_SECOND, `${attached.after} ms`);
      // The script of domain 5 is done, but its blkback does not have the device yet.
      await write(fixture, '9/51712', { opened: '0' });
      assert.equal((await wait('9/51712', '--timeout', '1.5')).status, 1);
      await write(fixture, '9/51712', { opened: '1' });
      assert.equal(JSON.parse((await wait('9/51712')).stdout)['opened-by'], 'key');
    }));

  it('are waited for in vain where that blkback refuses, they go away, or nobody serves them', () =>
    withTracedFixture(async (fixture) => {
      const wait = (key: string, ...words: string[]) =>
        fixture.cli(['wait', key, '--backend-domain', '5', ...words]);
      await create(fixture, '8/51712');
      const refused = await meanwhile(fixture, '8/51712', wait('8/51712'), async () => {
        const error = '/local/domain/5/error/backend/vbd/8/51712/error';
        await fixture.store.write(error, '2 creating vbd structure');
        await write(fixture, '8/51712', { state: '5' });
      });
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /blkback of domain 5 serves no .*: 2 creating vbd structure/);
      await create(fixture, '9/51712');
      const gone = await meanwhile(fixture, '9/51712', wait('9/51712'), () =>
        fixture.store.remove(`${ROOT}/9`),
      );
      assert.equal(gone.status, 1);
      assert.match(gone.stderr, /there is no .*9\/51712 in XenStore, or no more/);
      assert.ok(gone.after < A_SECOND, `${gone.after} ms`);
      await create(fixture, '9/51728');
      const late = await wait('9/51728', '--timeout', '1.5');
      assert.equal(late.status, 1);
      assert.match(late.stderr, /is the hotplug daemon of domain 5 running\?/);
    }));

  it('are waited for with --closed until they are closed, or gone', () =>
    withTracedFixture(async (fixture) => {
      await create(fixture, '8/51712', ATTACHED);
      const words = ['wait', '8/51712', '--backend-domain', '5', '--closed'];
      const late = await fixture.cli([...words, '--timeout', '1.5']);
      assert.match(late.stderr, /is not closed after 1\.5 s: the guest has not let go of it/);
      const closed = await meanwhile(fixture, '8/51712', fixture.cli(words), () =>
        write(fixture, '8/51712', { state: '6' }),
      );
      assert.equal(closed.status, 0, closed.stderr);
      await fixture.store.remove(ROOT);
      assert.equal((await fixture.cli(words)).status, 0);
    }));
});
