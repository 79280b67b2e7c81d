import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { Requests } from '../../../src/xenstore/requests.js';
import { runSteps } from '../../../src/xenstore/transaction.js';
import type { Wire, WireRequest } from '../../../src/xenstore/wire.js';

/** Keeps what is submitted; the test answers. */
function silentWire(): Wire & { readonly submitted: WireRequest[] } {
  const submitted: WireRequest[] = [];
  return {
    submitted,
    attach: () => undefined,
    submit: (request) => submitted.push(request),
    cancel: () => false,
    close: async () => undefined,
  };
}

describe('a whole transaction', () => {
  const { ECONNRESET, EACCES } = constants.errno;

  it('is rejected where the connection was lost before any of it was begun', async () => {
    const wire = silentWire();
    const requests = new Requests(wire, 10_000);
    const outcome = runSteps(requests, [{ op: 'remove', path: 'a' }], {});
    const [request] = wire.submitted;
    requests.reply(request?.id ?? 0, ECONNRESET, undefined);
    await assert.rejects(outcome, { code: 'ECONNRESET' });
  });

  it('names the step that failed', async () => {
    const wire = silentWire();
    const requests = new Requests(wire, 10_000);
    const steps = [
      { op: 'remove', path: 'a' },
      { op: 'write', path: 'b', value: '1' },
    ] as const;
    const outcome = runSteps(requests, steps, {});
    requests.reply(wire.submitted[0]?.id ?? 0, EACCES, [1, undefined]);
    await assert.rejects(outcome, { code: 'EACCES', path: 'b' });
  });
});
