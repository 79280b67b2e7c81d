import assert from 'node:assert/strict';
import { Supervisor } from '../../../src/daemon/supervisor.js';
import { DatagramReceiver } from '../../bed/datagrams.js';

const PID = 4711;
const NOBODY = '@xen-blkback-nobody';

describe('the service manager', () => {
  for (const [period, whose, ms] of [
    ['2500000', undefined, 2500],
    ['2500000', '4711', 2500],
    ['2500000', '4712', undefined],
    ['0', undefined, undefined],
    ['-1', undefined, undefined],
    ['soon', undefined, undefined],
    [undefined, undefined, undefined],
  ] as const) {
    it(`${ms ? `wants signs of life every ${ms} ms` : 'wants no signs of life'}, with ${period} µs for ${whose ?? 'anybody'}`, () => {
      const environment = { NOTIFY_SOCKET: NOBODY, WATCHDOG_USEC: period, WATCHDOG_PID: whose };
      assert.equal(new Supervisor(environment, PID).watchdogMs, ms);
      const unheard = { ...environment, NOTIFY_SOCKET: '' };
      assert.equal(new Supervisor(unheard, PID).watchdogMs, undefined);
    });
  }

  it('is not told of a reload before there was readiness', async () => {
    const address = `@xen-test-${process.pid}-supervisor`;
    await using receiver = await DatagramReceiver.bind(address);
    const supervisor = new Supervisor({ NOTIFY_SOCKET: address }, PID);
    let reloads = 0;
    const reload = (): Promise<void> =>
      supervisor.reload(async () => {
        reloads++;
      });
    await reload();
    supervisor.status('one\ntwo');
    supervisor.ready('up');
    await reload();
    await receiver.heard(/^READY=1$/);
    assert.equal(reloads, 2);
    assert.deepEqual(
      receiver.texts().map((text) => text.replace(/\d{2,}/, 'N')),
      ['STATUS=one two', 'READY=1\nSTATUS=up', 'RELOADING=1\nMONOTONIC_USEC=N', 'READY=1'],
    );
  });

  it('that is none is told nothing', () => {
    const supervisor = new Supervisor({}, PID);
    supervisor.ready('up');
    supervisor.alive();
    supervisor.stopping('down');
  });
});
