import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openExport } from '../../../../src/block/open-export.js';
import { loopsOf, makeImage } from '../../../bed/images.js';
import { fixture, loopsLeft, request, textAt } from '../fixture.js';

const RACER = fileURLToPath(new URL('./loop-racer.js', import.meta.url));

/** A device as a racer reports it. */
interface Held {
  readonly path: string;
  readonly diskseq: string;
  readonly text: string;
  readonly expected: string;
}

async function startRacer(directory: string, name: string, count: number): Promise<ChildProcess> {
  const racer = spawn(process.execPath, [RACER, directory, name, String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(racer, 'spawn');
  return racer;
}

async function heldBy(racer: ChildProcess): Promise<Held[]> {
  assert.ok(racer.stdout);
  for await (const line of createInterface({ input: racer.stdout })) return JSON.parse(line);
  return assert.fail('a racer ended early');
}

/** Asserts that each device is made once, and has the content of the file for which it was made. */
function check(held: readonly Held[], count: number): void {
  assert.equal(held.length, count);
  assert.equal(new Set(held.map(({ path }) => path)).size, count);
  assert.equal(new Set(held.map(({ diskseq }) => diskseq)).size, count);
  for (const { text, expected } of held) assert.equal(text, expected);
}

describe('Many loop devices at once', () => {
  const shop = fixture();

  it('are all made, each over its own file, by one process', async () => {
    const markers = Array.from({ length: 50 }, (_, index) => `image ${index} `.padEnd(12, '.'));
    const devices = await Promise.all(
      markers.map((marker) => openExport(request(makeImage(shop.directory, { marker })))),
    );
    const held = devices.map((device, index) => ({
      path: device.path,
      diskseq: String(device.identity.diskseq),
      text: textAt(device, 0, 12),
      expected: markers[index] ?? '',
    }));
    await Promise.all(devices.map((device) => device.verify()));
    await Promise.all(devices.map((device) => device.close()));
    check(held, 50);
    assert.deepEqual(await loopsLeft(shop.directory), []);
  });

  it('are all made by eight processes, and gone when those are killed', async () => {
    const racers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => startRacer(shop.directory, `racer${index}`, 6)),
    );
    try {
      const held = await Promise.all(racers.map(heldBy));
      check(held.flat(), 48);
      assert.equal(loopsOf(shop.directory).length, 48);
    } finally {
      for (const racer of racers) racer.kill('SIGKILL');
      await Promise.all(
        racers.map((racer) => racer.signalCode ?? racer.exitCode ?? once(racer, 'exit')),
      );
    }
    assert.deepEqual(await loopsLeft(shop.directory), []);
  });

  it('are not tried for any longer once the caller gives up', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    const reason = new Error('stop');
    const opened = openExport(request(image), AbortSignal.abort(reason));
    await assert.rejects(opened, (error) => error === reason);
  });
});
