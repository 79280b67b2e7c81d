import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { VbdPath, Xenstore } from '../../../src/index.js';
import { type Fixture, LoopFixture, MapperFixture } from './bystander.js';
import { ATTACH, deleteVbd, library, makeVbd, opened } from './driver.js';

// `race ours|xen loop|mapper COUNT RIGHT WRONG`: somebody puts another device in the place of the one
// that is being attached, at any moment. RIGHT and WRONG are files, or tables of the mapper. With ours
// the driver must never open the wrong one; of Xen's own script it is only counted.

const [who = 'ours', kind = 'loop', count = '20', right = '', wrong = ''] = process.argv.slice(2);
/** The longest that the bystander waits: about as long as the slower of both takes to attach. */
const PATIENCE_MS = who === 'ours' ? 300 : 1500;

/** A refusal is right: the device is another by now, or gone, or busy being exchanged. */
const REFUSALS = [
  'EIDENTITY',
  'ENXIO',
  'EBUSY',
  'ENOMEDIUM',
  'ENOENT',
  'ENODEV',
  'ENOTABLE',
  'EBLKBACK',
];

async function attachOurs(store: Xenstore, vbd: VbdPath): Promise<boolean> {
  try {
    await library.attach(store, vbd, ATTACH);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    assert.ok(REFUSALS.includes(code), String(error));
    return false;
  }
}

async function attachXen(_: Xenstore, vbd: VbdPath): Promise<boolean> {
  const env = { ...process.env, XENBUS_PATH: vbd.backend, XENBUS_TYPE: 'vbd' };
  const script = spawn('/etc/xen/scripts/block', ['add'], { env, stdio: 'ignore' });
  const [status] = await once(script, 'exit');
  // The driver opens what it was told in its own time.
  for (let i = 0; i < 100 && status === 0 && opened() === undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return status === 0;
}

const fixture: Fixture =
  kind === 'loop' ? new LoopFixture({ right, wrong }) : new MapperFixture({ right, wrong });
const attach = who === 'ours' ? attachOurs : attachXen;
const found = { right: 0, wrong: 0, refused: 0 };

await using store = await library.openXenstore();
for (let round = 0; round < Number(count); round++) {
  const { path, target } = fixture.prepare();
  // Xen's script knows paths only.
  const vbd = await makeVbd(store, who === 'ours' ? target : path);
  const strike = new Promise<void>((resolve) => {
    setTimeout(() => {
      fixture.strike(path);
      resolve();
    }, Math.random() * PATIENCE_MS);
  });
  const attached = await attach(store, vbd);
  await strike;
  const now = opened();
  if (now === undefined) found.refused++;
  else if (now.content === fixture.right) found.right++;
  else found.wrong++;
  if (who === 'ours') {
    assert.ok(now === undefined || now.content === fixture.right, `it opened ${now?.content}`);
    assert.ok(!attached || now !== undefined, 'it says attached, but nothing is open');
  }
  await deleteVbd(store);
  if (who === 'ours') await library.detach(store, vbd, ATTACH);
  await fixture.cleanUp();
}
console.log(
  `${who === 'ours' ? 'block-diskseq' : "Xen's block"}, ${kind}: ${count} rounds, ` +
    `${found.right} opened the right device, ${found.wrong} another, ${found.refused} none`,
);
