import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { ATTACH, deleteVbd, library, makeVbd, opened, text } from './driver.js';
import { startTrace, stopTrace } from './trace.js';

// `cycles IMAGE COUNT stock|diskseq`: attaches and detaches a file so many times, and compares when the
// kernel says that the driver opened the device with when the handler says so. The handler lets go at
// that moment: had the driver not opened the loop device by then, it would have cleared itself.

const [image = '', count = '200', driver = 'stock'] = process.argv.slice(2);
const told: number[] = [];

await using store = await library.openXenstore();
startTrace();
for (let cycle = 0; cycle < Number(count); cycle++) {
  const vbd = await makeVbd(store, image);
  assert.equal(opened(), undefined, 'the attribute is there before anything was named');
  const result = await library.attach(store, vbd, {
    ...ATTACH,
    onStep: (step) => {
      if (step === 'connected') told.push(Number(process.hrtime.bigint()) / 1e9);
    },
  });
  assert.equal(result.openedBy, driver === 'stock' ? 'sysfs' : 'key');
  const now = opened();
  assert.equal(now?.content, image);
  assert.equal(now?.devnum, result.publication?.['physical-device']);
  const loop = String(Number.parseInt(now?.devnum.split(':')[1] ?? '', 16));
  assert.equal(text(`/sys/block/loop${loop}`, 'loop/autoclear'), '1');
  await deleteVbd(store);
  await library.detach(store, vbd, ATTACH);
  await unbound(`/sys/block/loop${loop}`);
}
const events = stopTrace();
const opens = events.filter(({ what }) => what === 'opened');
const attributes = events.filter(({ what }) => what === 'attribute');
assert.equal(told.length, Number(count));
assert.equal(opens.length, told.length, 'opens that the kernel recorded');
assert.equal(attributes.length, told.length, 'attributes that the kernel recorded');
const delays = told.map((seconds, index) => {
  const [open, attribute] = [opens[index]?.seconds ?? 0, attributes[index]?.seconds ?? 0];
  assert.ok(open < attribute, `cycle ${index}: the attribute came before the open`);
  assert.ok(open < seconds, `cycle ${index}: it was told before the driver's open`);
  return (seconds - open) * 1000;
});
delays.sort((a, b) => a - b);
console.log(
  `${count} cycles: told after the driver's open each time, by ${delays[0]?.toFixed(1)} ms at least, ` +
    `${delays[delays.length >> 1]?.toFixed(1)} ms in the median`,
);

/** Waits until a loop device is unbound. Since Linux 6.9 blkback's close of a file is carried out later. */
async function unbound(directory: string): Promise<void> {
  for (let left = 200; text(directory, 'loop/backing_file') !== undefined; left--) {
    assert.ok(left > 0, `${directory} stays bound`);
    await pause(10);
  }
}
