import assert from 'node:assert/strict';
import {
  attach,
  check,
  detach,
  followEvents,
  isBlkbackError,
  list,
  openXenstore,
  parseTarget,
  plan,
  resize,
  serve,
  show,
  waitClosed,
  waitOpened,
} from '../../../src/index.js';
import { MemoryXenstored } from '../../store/memory.js';

const VBD = 'backend/vbd/7/51712';

/** A call as a JavaScript program can make it, with arguments of any type. */
type Call = (...args: unknown[]) => Promise<unknown>;

describe('the arguments of the library', () => {
  const store = new MemoryXenstored().connect();

  async function refuses(call: unknown, args: unknown[], message: RegExp): Promise<void> {
    await assert.rejects((call as Call)(...args), (error: unknown) => {
      assert.ok(isBlkbackError(error, 'EARGUMENT'), String(error));
      assert.match(error.message, message);
      return true;
    });
  }

  it('need no options: a vbd that there is not is an error of XenStore, not of a missing time', async () => {
    for (const options of [undefined, {}, { timeoutMs: undefined }]) {
      await assert.rejects(attach(store, VBD, options), { code: 'EBACKEND' });
    }
    await detach(store, VBD, { timeoutMs: 1000, sysfs: '/nonexistent' }).catch((error: unknown) => {
      assert.ok(isBlkbackError(error, 'ESYSFS'), String(error));
    });
  });

  it('are refused by name where they make no sense', async () => {
    await refuses(
      attach,
      [store, VBD, { timeoutMs: Number.NaN }],
      /^attach: timeoutMs is NaN: milliseconds/,
    );
    await refuses(attach, [store, VBD, { timeoutMs: '5' }], /timeoutMs is '5'/);
    await refuses(attach, [store, VBD, { timeoutMs: 2 ** 31 }], /timeoutMs is 2147483648/);
    await refuses(
      attach,
      [store, VBD, { uapi: 'keys' }],
      /uapi is 'keys': one of key, inline is needed/,
    );
    await refuses(
      attach,
      [store, VBD, { sysfs: 'sys' }],
      /sysfs is 'sys': an absolute path is needed/,
    );
    await refuses(attach, [store, VBD, { onStep: 1 }], /onStep is 1: a function is needed/);
    await refuses(attach, [store, VBD, { signal: {} }], /signal is {}: an AbortSignal is needed/);
    await refuses(attach, [store, VBD, null], /options is null/);
    await refuses(
      detach,
      [store, VBD, { timeout: 5 }],
      /there is no option timeout: did you mean timeoutMs\?/,
    );
    await refuses(resize, [store, VBD, { runDirectory: '' }], /runDirectory is ''/);
    await refuses(list, [store, { domid: -1 }], /domid is -1/);
    await refuses(openXenstore, [{ requestTimeoutMs: -1 }], /requestTimeoutMs is -1/);
    await refuses(waitClosed, [VBD, { timeoutMs: 0 }], /timeoutMs is 0/);
    await refuses(
      check,
      [store, '/srv/a.img', { mode: 'rw' }],
      /mode is 'rw': one of r, w is needed/,
    );
    await refuses(check, [store, 7], /target is 7/);
    await refuses(
      serve,
      [{ scripts: ['/etc/xen/scripts/block'] }],
      /scripts is .*without directories/,
    );
    await refuses(
      () => followEvents({ socket: 'control.sock' }).next(),
      [],
      /socket is 'control.sock'/,
    );
  });

  it('name a vbd by its backend path, or as parseVbdPath gives it', async () => {
    for (const call of [attach, detach, resize, show, plan, waitOpened]) {
      await refuses(call, [store, '7/51712'], /vbd is '7\/51712': a backend path .* is needed/);
      await refuses(call, [store, { backend: 'backend/qdisk/7/51712' }], /a backend path/);
      await refuses(call, [store, undefined], /vbd is undefined/);
      await refuses(
        call,
        [undefined, VBD],
        /store is undefined: what openXenstore\(\) resolves with/,
      );
    }
  });

  it('may be a target as text or as bytes', () => {
    assert.deepEqual(parseTarget('/srv/a.img'), parseTarget(Buffer.from('/srv/a.img')));
    assert.throws(
      () => parseTarget('path=srv'),
      (error) => isBlkbackError(error),
    );
  });
});
