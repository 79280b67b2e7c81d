import { readFileSync } from 'node:fs';
import { pause } from '../../../src/util/retry.js';
import { startBed } from '../../bed/bed.js';
import { within } from '../../bed/deadline.js';
import type { Run } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** Where the toolstack has the backends of domain 5, the driver domain. */
export const ROOT = '/local/domain/5/backend/vbd';
/** The error that domain 5 has written for a vbd that it could not attach. */
export const SENTENCE = 'open /srv/missing.img: no such file or directory';
/** Writes what libxl writes for a disk that domain 5 is to serve. `nodes` are added or replaced. */
export async function create(
  fixture: HotplugFixture,
  key: string,
  nodes: Record<string, string> = {},
) {
  const [domid] = key.split('/');
  const usual = {
    frontend: `/local/domain/${domid}/device/vbd/${key}`,
    'frontend-id': String(domid),
    params: '/srv/a.img',
    mode: 'w',
    dev: 'xvda',
    online: '1',
    state: '2',
  };
  await write(fixture, key, { ...usual, ...nodes });
}

/** Writes nodes of a backend in one transaction, as blkback and the daemon of domain 5 do. */
export async function write(fixture: HotplugFixture, key: string, nodes: Record<string, string>) {
  await fixture.store.transact(
    Object.entries(nodes).map(([name, value]) => ({
      op: 'write',
      path: `${ROOT}/${key}/${name}`,
      value,
    })),
  );
}

/** The nodes of a vbd that domain 5 has attached. */
export const ATTACHED = {
  'physical-device': '7:3',
  'physical-device-path': '/dev/loop3',
  diskseq: '1f',
  'hotplug-status': 'connected',
  state: '4',
};
/** The nodes of a vbd that domain 5 could not attach. */
export const FAILED = { 'hotplug-error': SENTENCE, 'hotplug-status': 'error' };

/**
 * Runs `happen` as soon as a command watches the vbd. Returns how the command ended, and how many
 * milliseconds after `happen`.
 */
export async function meanwhile(
  fixture: HotplugFixture,
  key: string,
  running: Promise<Run>,
  happen: () => Promise<unknown>,
): Promise<Run & { readonly after: number }> {
  const watched = new RegExp(` WATCH \\S*${ROOT}/${key} `);
  await within(20_000, `a watch of ${key}`, async () => {
    while (!watched.test(readFileSync(fixture.bed.xenstored.tracePath, 'utf8'))) await pause(20);
  });
  await happen();
  const since = performance.now();
  return { ...(await running), after: performance.now() - since };
}

/** Runs `body` on a fixture whose xenstored traces its requests. `meanwhile` reads the trace. */
export async function withTracedFixture(
  body: (fixture: HotplugFixture) => Promise<void>,
): Promise<void> {
  await using bed = await startBed({}, { trace: true });
  await using store = await openStore(bed);
  await body(new HotplugFixture(bed, store));
}
