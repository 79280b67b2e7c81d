import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour, BlkbackEvent } from '../../bed/blkback.js';
import { attachLoop, type Loop, makeImage } from '../../bed/images.js';
import { mappedLeft, mappedNames } from '../../bed/mapper.js';
import { MapperChurn, type MapperChurnCount } from '../../bed/mapper-churn.js';
import { openStore } from '../../bed/store.js';
import { createVbds, deleteVbd, type Vbd } from '../../bed/toolstack.js';

/** The names of the mapper devices that come and go. */
export const NAMES = ['red', 'green', 'blue', 'white', 'black'];
const SECTORS = 2048;

/** A bed on which mapper devices come and go all the time. */
export interface Fixture {
  readonly bed: Bed;
  readonly store: Xenstore;
}

/**
 * Runs `body` while a bystander destroys and makes the mapper devices called `NAMES`. Afterwards,
 * no mapper device may be left that was not there before. Returns the counts of the bystander.
 */
export async function withChurn(
  behaviour: BlkbackBehaviour,
  niceness: number,
  body: (fixture: Fixture) => Promise<void>,
): Promise<MapperChurnCount> {
  const before = await mappedNames();
  await using bed = await startBed(behaviour);
  await using store = await openStore(bed);
  const directory = join(bed.directory, 'disks');
  mkdirSync(directory);
  const loops: Loop[] = [];
  const bases = new Map<string, string>();
  try {
    for (const name of NAMES) {
      const loop = await attachLoop(makeImage(directory, { marker: contentOf(name) }));
      loops.push(loop);
      bases.set(name, loop.path);
    }
    const churn = await MapperChurn.start(bases, SECTORS, niceness);
    let count: MapperChurnCount;
    try {
      await body({ bed, store });
    } finally {
      count = await churn.stop();
    }
    assert.deepEqual(await mappedLeft(...before), []);
    return count;
  } finally {
    for (const loop of loops) await loop.detach();
  }
}

/** Returns the text at the start of the device with this name. */
export function contentOf(name: string): string {
  return `this is ${name}`;
}

/**
 * Creates one vbd for each target, and waits until all of them wait for a device. The numbers of
 * their guests begin with 1000 + `first`.
 */
export async function makeVbds(
  { bed, store }: Fixture,
  first: number,
  targets: readonly string[],
): Promise<Vbd[]> {
  const vbds = await createVbds(
    store,
    targets.map((params, index) => ({
      frontend: 1000 + first + index,
      devid: 51712,
      params,
      // Such an add spends most of its time on XenStore, so nodes that it does not need are left
      // out.
      omit: ['script', 'removable', 'bootable', 'discard-enable'],
    })),
  );
  const waiting = new Set(vbds.map(({ key }) => key));
  await bed.blkback.waitFor(({ event, vbd, state }) => {
    if (event === 'state' && state === 2 && vbd !== undefined) waiting.delete(vbd);
    return waiting.size === 0;
  });
  return vbds;
}

/** Deletes vbds, and waits until blkback has closed what it had open. */
export async function destroyVbds({ bed, store }: Fixture, vbds: readonly Vbd[]): Promise<void> {
  const open = new Set(openedBy(bed, vbds).map(({ vbd }) => vbd));
  await deleteVbd(store, ...vbds);
  if (open.size === 0) return;
  await bed.blkback.waitFor(({ event, vbd }) => {
    if (event === 'closed') open.delete(vbd);
    return open.size === 0;
  });
}

/** Returns the events of the devices that blkback has opened for these vbds. */
export function openedBy(bed: Bed, vbds: readonly Vbd[]): BlkbackEvent[] {
  const keys = new Set(vbds.map(({ key }) => key));
  return bed.blkback.log().filter(({ event, vbd = '' }) => event === 'opened' && keys.has(vbd));
}
