import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askDaemon } from '../../../src/daemon/ask-daemon.js';

const LIMIT = 1024 * 1024;

describe('askDaemon', () => {
  let directory: string;
  let path: string;
  let server: Server;
  let answer: string;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'xen-ask-'));
    path = join(directory, 'control.sock');
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });
  afterEach(() => {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const failsWith = (code: string, sentence: RegExp) => (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error);
    assert.equal(error.code, code);
    assert.match(error.message, sentence);
    return true;
  };

  it('returns an answer as long as the limit, whole', async () => {
    const text = `${'x'.repeat(LIMIT - 'status \n'.length)}\n`;
    answer = `status ${text}`;
    assert.equal(await askDaemon(path, 'status'), text);
  });

  it('fails for an answer that is longer, instead of returning its beginning', async () => {
    answer = `status ${'x'.repeat(LIMIT)}\n`;
    await assert.rejects(
      askDaemon(path, 'status'),
      failsWith('EPROTOCOL', /more than 1048576 bytes/),
    );
  });

  it('counts the bytes of the answer, not its characters', async () => {
    answer = `status ${'ü'.repeat(LIMIT / 2)}\n`;
    await assert.rejects(askDaemon(path, 'status'), failsWith('EPROTOCOL', /more than/));
    answer = `status ${'ü'.repeat(100)}\n`;
    assert.equal(await askDaemon(path, 'status'), `${'ü'.repeat(100)}\n`);
  });

  it('fails for an answer that a daemon has not sent to its end', async () => {
    answer = 'status {"daemon": "0.2';
    await assert.rejects(askDaemon(path, 'status'), failsWith('EENDED', /in the middle/));
    answer = '';
    await assert.rejects(askDaemon(path, 'status'), failsWith('EENDED', /without an answer/));
  });

  it('fails for an answer to another question', async () => {
    answer = 'statusquo\n';
    await assert.rejects(askDaemon(path, 'status'), failsWith('EPROTOCOL', /older version/));
  });
});
