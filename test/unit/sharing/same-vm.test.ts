import assert from 'node:assert/strict';
import { compareVms, type DomainIdentity, readDomains } from '../../../src/sharing/same-vm.js';
import { XenstoreError } from '../../../src/xenstore/xenstore-error.js';
import { MemoryXenstore } from '../../store/memory.js';

const domain = (domid: number, vm?: string, targetVm?: string): DomainIdentity => ({
  domid,
  name: undefined,
  vm,
  targetVm,
  unreadable: false,
});

describe('compareVms', () => {
  for (const [what, a, b, same] of [
    ['one domain, whatever is known of it', domain(7), domain(7), true],
    ['two domains of one machine', domain(7, '/vm/a'), domain(8, '/vm/a'), true],
    ['two domains of two machines', domain(7, '/vm/a'), domain(8, '/vm/b'), false],
    ['a domain and its stub domain', domain(7, '/vm/a'), domain(8, '/vm/s', '/vm/a'), true],
    [
      'two stub domains of one machine',
      domain(7, '/vm/s', '/vm/a'),
      domain(8, '/vm/t', '/vm/a'),
      true,
    ],
    ['a stub domain and a third machine', domain(7, '/vm/c'), domain(8, '/vm/s', '/vm/a'), false],
    ['two domains that are gone', domain(7), domain(8), false],
    ['one that is gone', domain(7, '/vm/a'), domain(8), false],
  ] as const) {
    it(`${same ? 'holds' : 'does not hold'} for ${what}`, () => {
      const expected = same ? 'same' : 'other';
      for (const rule of ['check', 'assume'] as const) {
        assert.equal(compareVms(a, b, rule), expected);
        assert.equal(compareVms(b, a, rule), expected);
      }
    });
  }
});

describe('compareVms of a domain that may not be read', () => {
  const hidden = { ...domain(8), unreadable: true };

  it('cannot tell, unless it is to assume that they are one machine', () => {
    assert.equal(compareVms(domain(7, '/vm/a'), hidden, 'check'), 'unreadable');
    assert.equal(compareVms(hidden, domain(7, '/vm/a'), 'check'), 'unreadable');
    assert.equal(compareVms(domain(7, '/vm/a'), hidden, 'assume'), 'same');
  });

  it('knows a domain by its number all the same', () => {
    assert.equal(compareVms(hidden, hidden, 'check'), 'same');
  });
});

describe('readDomains', () => {
  it('knows nothing of what it may not read, and goes on', async () => {
    await using store = new MemoryXenstore();
    await store.write('/local/domain/7/vm', '/vm/a');
    await store.write('/local/domain/8/vm', '/vm/b');
    const denied = (path: string): XenstoreError =>
      new XenstoreError(`${path} may not be read`, { code: 'EACCES', path });
    const driver = new Proxy(store, {
      get(target, name) {
        if (name === 'readMany') return async () => Promise.reject(denied('one of them'));
        if (name !== 'read') return Reflect.get(target, name);
        const read: MemoryXenstore['read'] = async (path) => {
          if (path.startsWith('/local/domain/8/')) throw denied(path);
          return await target.read(path);
        };
        return read;
      },
    });
    const domains = await readDomains(driver, [7, 8]);
    assert.deepEqual(
      domains.map(({ vm, unreadable }) => [vm, unreadable]),
      [
        ['/vm/a', false],
        [undefined, true],
      ],
    );
  });

  it('reads name, machine and target, as far as they are there', async () => {
    await using store = new MemoryXenstore();
    const nodes = {
      '7/name': 'work',
      '7/vm': '/vm/a',
      '8/vm': '/vm/s',
      '8/target': '7',
      '9/target': '99',
      '10/target': 'rubbish',
    };
    for (const [node, value] of Object.entries(nodes)) {
      await store.write(`/local/domain/${node}`, value);
    }
    const nobody = { name: undefined, vm: undefined, targetVm: undefined, unreadable: false };
    assert.deepEqual(await readDomains(store, [7, 8, 9, 10, 11]), [
      { ...nobody, domid: 7, name: 'work', vm: '/vm/a' },
      { ...nobody, domid: 8, vm: '/vm/s', targetVm: '/vm/a' },
      { ...nobody, domid: 9 },
      { ...nobody, domid: 10 },
      { ...nobody, domid: 11 },
    ]);
  });
});
