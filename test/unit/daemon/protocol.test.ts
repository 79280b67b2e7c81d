import assert from 'node:assert/strict';
import { eventLine, eventsRequest, parseRequest } from '../../../src/daemon/protocol.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';

describe('parseRequest', () => {
  for (const action of ['add', 'remove'] as const) {
    it(`reads a request to ${action}`, () => {
      assert.deepEqual(parseRequest(`xen-blkback 1 ${action} backend/vbd/7/51712`), {
        ok: true,
        request: { action, path: 'backend/vbd/7/51712' },
      });
    });
  }

  it('reads a request for events', () =>
    assert.deepEqual(parseRequest('xen-blkback 1 events'), {
      ok: true,
      request: { action: 'events' },
    }));

  it('reads a question about a vbd', () =>
    assert.deepEqual(parseRequest('xen-blkback 1 attachment backend/vbd/7/51712'), {
      ok: true,
      request: { action: 'attachment', about: 'backend/vbd/7/51712' },
    }));

  for (const [text, start] of [
    ['snapshot', { after: undefined }],
    ['after 1f 12', { after: { run: '1f', seq: 12 } }],
  ] as const) {
    it(`reads a request for events with ${text}`, () => {
      const request = { action: 'events', start };
      assert.deepEqual(parseRequest(`xen-blkback 1 events ${text}`), { ok: true, request });
      assert.equal(eventsRequest(start), `xen-blkback 1 events ${text}\n`);
    });
  }

  for (const version of ['0', '2', '65535']) {
    it(`tells a client of version ${version} which one it speaks`, () => {
      const parsed = parseRequest(`xen-blkback ${version} add backend/vbd/7/51712`);
      assert.deepEqual(parsed, { ok: false, reply: 'unsupported 1\n' });
    });
  }

  for (const line of [
    '',
    'GET / HTTP/1.1',
    'xen-blkback',
    'xen-blkback one add x',
    'xen-blkback 1',
    'xen-blkback 1 frob backend/vbd/7/51712',
    'xen-blkback 1 add',
    'xen-blkback 1 add a b',
    'xen-blkback 1 events backend/vbd/7/51712',
    'xen-blkback 1 attachment',
    'xen-blkback 1 attachment a b',
    'xen-blkback 1 events snapshot x',
    'xen-blkback 1 events after 1f',
    'xen-blkback 1 events after 1f x',
    'xen-blkback 1 events after 1f 1 2',
  ]) {
    it(`refuses "${line}" with one line`, () => {
      const parsed = parseRequest(line);
      assert.ok(!parsed.ok);
      assert.match(parsed.reply, /^failed EPROTOCOL [^\n]+\n$/);
    });
  }
});

describe('eventLine', () => {
  it('makes one line of a step, with null for what does not apply', () => {
    const vbd = parseVbdPath('backend/vbd/7/51712');
    assert.ok(vbd);
    const time = new Date(0);
    const line = eventLine(
      {
        time,
        vbd,
        action: 'add',
        step: 'attached',
        detail: 'a\nb',
        diskseq: 7n,
      },
      { run: 'a1', seq: 3, domain: 'work' },
    );
    const [, json = ''] = /^event (.*)\n$/.exec(line) ?? [];
    assert.deepEqual(JSON.parse(json), {
      version: 1,
      run: 'a1',
      seq: 3,
      time: '1970-01-01T00:00:00.000Z',
      backend: 'backend/vbd/7/51712',
      'backend-domid': null,
      domid: 7,
      domain: 'work',
      devid: 51712,
      action: 'add',
      step: 'attached',
      detail: 'a\nb',
      target: null,
      device: null,
      diskseq: '7',
      state: null,
      code: null,
      errno: null,
    });
  });
});
