import assert from 'node:assert/strict';
import { parseRequest } from '../../../src/daemon/protocol.js';

describe('parseRequest', () => {
  for (const action of ['add', 'remove'] as const) {
    it(`reads a request to ${action}`, () => {
      assert.deepEqual(parseRequest(`xen-blkback 1 ${action} backend/vbd/7/51712`), {
        ok: true,
        request: { action, path: 'backend/vbd/7/51712' },
      });
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
  ]) {
    it(`refuses "${line}" with one line`, () => {
      const parsed = parseRequest(line);
      assert.ok(!parsed.ok);
      assert.match(parsed.reply, /^failed EPROTOCOL [^\n]+\n$/);
    });
  }
});
