import assert from 'node:assert/strict';
import { openExport } from '../../../src/block/open-export.js';
import {
  listMappers,
  loadMapperTable,
  readMapper,
  resumeMapper,
} from '../../../src/linux/device-mapper.js';
import { describeHungCall, listHungCalls } from '../../../src/linux/hung-calls.js';
import { pause } from '../../../src/util/retry.js';
import { dmsetup, linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { request } from '../block/fixture.js';
import { beginHangingWrite, withMapper } from './bench.js';

describe('A mapper device that is suspended for good', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'holds up no request about another one, and those about it can be given up',
    withMapper({}, async (fixture, bench) => {
      const bottom = await bench.linear('bottom');
      const top = await bench.mapped('bench-top', linear(bottom.kernelPath));
      const other = await bench.linear('other');
      await dmsetup('suspend', '--noflush', '--nolockfs', bottom.name);
      await using _resumed = {
        [Symbol.asyncDispose]: async () => void (await dmsetup('resume', bottom.name)),
      };
      const { written } = await beginHangingWrite(top.kernelPath);
      const reason = new Error('the deadline passed');
      const controller = new AbortController();
      const [major, minor] = bottom.devnum.split(':').map((hex) => Number.parseInt(hex, 16));
      const hanging: Promise<void>[] = [];
      for (let i = 0; i < 12; i++) {
        const params = Buffer.from(`${major}:${minor} 0\0`);
        const table = { type: 'linear', sectors: 2048n, params, readOnly: false };
        await loadMapperTable(top.name, table);
        hanging.push(assert.rejects(resumeMapper(top.name, controller.signal), reason));
        // The call has taken its table by now, before the next table is loaded in its place.
        await pause(100);
      }
      for (let i = 0; i < 10; i++) {
        assert.equal((await readMapper({ name: other.name }))?.suspended, false);
        assert.equal((await readMapper({ name: bottom.name }))?.suspended, true);
        assert.ok((await listMappers()).some(({ name }) => name === top.name));
      }
      await resumeMapper(other.name);
      const given = performance.now();
      controller.abort(reason);
      await Promise.all(hanging);
      assert.ok(performance.now() - given < 500);
      assert.match(
        describeHungCall(reason) ?? '',
        /^mapper device bench-top does not answer \(DM_DEV_SUSPEND mapper device bench-top has not /,
      );
      await pause(1000);
      // A later call for this device fails at once. Calls for the other devices are not affected.
      await assert.rejects(resumeMapper(top.name), { code: 'EHUNG', message: /12 calls have not/ });
      await using device = await openExport(request(other.kernelPath));
      await device.verify();
      // An add goes on as well, because it has a layer of its own.
      const vbd = await fixture.vbd(`path=${fixture.image()},layer=linear`);
      assert.equal((await fixture.script(vbd, 'add')).status, 0);

      await dmsetup('resume', bottom.name);
      await written;
      for (let i = 0; i < 100 && listHungCalls().length > 0; i++) await pause(20);
      assert.deepEqual(listHungCalls(), []);
      await resumeMapper(top.name);
      assert.equal((await readMapper({ name: top.name }))?.suspended, false);
    }),
  );

  it(
    'is refused a table that names it wrongly in a sentence that names the device',
    withMapper({}, async (_fixture, bench) => {
      const disk = await bench.linear('disk');
      const table = { type: 'linear', sectors: 8n, readOnly: false };
      const params = Buffer.from('nonsense\0');
      await assert.rejects(loadMapperTable(disk.name, { ...table, params }), {
        code: 'EINVAL',
        message: `DM_TABLE_LOAD mapper device ${disk.name}: invalid argument (EINVAL)`,
      });
      await assert.rejects(resumeMapper('n'.repeat(200)), { code: 'ENAMETOOLONG' });
      assert.equal(await readMapper({ name: 'n'.repeat(200) }), undefined);
    }),
  );
});
