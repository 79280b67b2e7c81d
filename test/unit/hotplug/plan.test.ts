import assert from 'node:assert/strict';
import { planAttach } from '../../../src/hotplug/plan.js';
import { VbdBackend, type VbdNode } from '../../../src/vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';

const vbd = parseVbdPath('backend/vbd/7/51712') as VbdPath;
const COMPLETE = { params: '/disk.img', mode: 'w', frontend: '/local/domain/7/x', dev: 'xvda' };

/** Returns a backend directory. A value of `undefined` leaves its node out. */
function backend(nodes: Partial<Record<VbdNode, string | undefined>>): VbdBackend {
  const values = new Map<VbdNode, Buffer>();
  for (const [node, text] of Object.entries({ ...COMPLETE, ...nodes })) {
    if (text !== undefined) values.set(node as VbdNode, Buffer.from(text));
  }
  return new VbdBackend(values, undefined);
}

const plan = (nodes: Partial<Record<VbdNode, string | undefined>>) =>
  planAttach(vbd, backend(nodes));

describe('planAttach', () => {
  it('asks for the file or device that params names, and for nothing else', () => {
    assert.deepEqual(plan({}).request, {
      locator: { path: '/disk.img' },
      diskseq: undefined,
      writable: true,
      file: { offset: 0n, size: undefined, blockSize: 512, directIo: 'no' },
      fileOnly: [],
      mapperOnly: [],
      mayBeGoing: false,
      verityRoot: undefined,
      layer: undefined,
    });
  });

  it('passes on what the target says of the file', () => {
    const { request, target } = plan({
      params: 'path=/f,offset=1024,size=4096,block-size=4096,direct-io=auto,autoclear=no,diskseq=9',
      mode: 'r',
    });
    assert.deepEqual(request, {
      locator: { path: '/f' },
      diskseq: 9n,
      writable: false,
      file: { offset: 1024n, size: 4096n, blockSize: 4096, directIo: 'auto' },
      fileOnly: ['offset', 'size', 'block-size', 'direct-io', 'autoclear'],
      mapperOnly: [],
      mayBeGoing: false,
      verityRoot: undefined,
      layer: undefined,
    });
    assert.equal(target.autoclear, false);
  });

  it('asks for a disk by its number, and for its partition', () => {
    const { locator } = plan({ params: 'diskseq=0x20,partition=3' }).request;
    assert.ok('diskseq' in locator);
    assert.equal(locator.diskseq, 32n);
    assert.equal(locator.partition, 3);
  });

  it('asks for a mapper device by name or UUID', () => {
    assert.deepEqual(plan({ params: 'dm-name=a b' }).request.locator, { dmName: 'a b' });
    assert.deepEqual(plan({ params: 'dm-uuid=LVM-x' }).request.locator, { dmUuid: 'LVM-x' });
  });

  it('says what only a mapper device can do', () => {
    const root = 'ab'.repeat(32);
    const { request, target } = plan({
      params: `dm-name=x,deferred-remove=yes,verity-root=${root}`,
    });
    assert.deepEqual(request.mapperOnly, ['deferred-remove', 'verity-root']);
    assert.equal(request.verityRoot, root);
    assert.equal(target.deferredRemove, true);
  });

  it('names a layer after the vbd', () => {
    const layer = (kind: string) => plan({ params: `path=/f,layer=${kind}` }).request.layer;
    assert.deepEqual(layer('linear'), { kind: 'linear', owner: '7-51712' });
    assert.deepEqual(layer('crypt'), { kind: 'crypt', owner: '7-51712' });
  });

  it('refuses a crypt layer that could only be read', () => {
    assert.throws(() => plan({ params: 'path=/f,layer=crypt', mode: 'r' }), {
      code: 'EMODE',
      message: /layer=crypt .* mode w/,
    });
  });

  for (const [mode, writable] of [
    ['r', false],
    ['w', true],
    ['r!', false],
    ['w!', true],
    ['ro', false],
    ['rw', true],
  ] as const) {
    it(`opens for ${writable ? 'writing' : 'reading'} with mode ${mode}`, () => {
      assert.equal(plan({ mode }).request.writable, writable);
    });
  }

  for (const [mode, params, sharing] of [
    ['w', '/f', undefined],
    ['w', 'path=/f,sharing=read-only', 'read-only'],
    ['w!', '/f', 'allow'],
    ['r!', 'path=/f,sharing=deny', 'allow'],
  ] as const) {
    it(`takes mode ${mode} and ${params} for sharing ${sharing ?? 'as it is set'}`, () => {
      assert.equal(plan({ mode, params }).sharing, sharing);
    });
  }

  for (const mode of ['', 'x', 'W', 'wr', 'r w', 'w!!', '!w', 'w\n', 'r,w', 'write']) {
    it(`refuses mode ${JSON.stringify(mode)} and shows it on one line`, () => {
      assert.throws(() => plan({ mode }), {
        name: 'HotplugError',
        code: 'EMODE',
        message: `backend/vbd/7/51712/mode is ${JSON.stringify(mode)}: one of r, w, r!, w! is needed`,
      });
    });
  }

  for (const node of ['params', 'mode', 'dev', 'frontend'] as const) {
    it(`names the missing ${node} node`, () => {
      assert.throws(() => plan({ [node]: undefined }), {
        code: 'EBACKEND',
        message: new RegExp(`backend/vbd/7/51712.* no ${node}( node|\\))`),
      });
    });
  }

  it('takes a bad target for what it is, not for a missing one', () => {
    assert.throws(() => plan({ params: '' }), { code: 'ETARGET' });
    assert.throws(() => plan({ params: 'path=relative' }), {
      code: 'ETARGET',
      message: /relative/,
    });
  });
});
