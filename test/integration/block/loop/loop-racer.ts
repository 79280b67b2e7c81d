// This program is one of several processes that make loop devices at the same time. It makes
// `count` devices at once, reports them in one line, and holds them until its input ends or it is
// killed.
import { openExport } from '../../../../src/block/open-export.js';
import { makeImage } from '../../../bed/images.js';
import { request, textAt } from '../fixture.js';

const [directory = '', name = '', count = '1'] = process.argv.slice(2);

const held = await Promise.all(
  Array.from({ length: Number(count) }, async (_, index) => {
    const expected = `${name}-${index}`;
    const device = await openExport(request(makeImage(directory, { marker: expected })));
    const { path, identity } = device;
    const text = textAt(device, 0, expected.length);
    return { path, diskseq: String(identity.diskseq), text, expected };
  }),
);
process.stdout.write(`${JSON.stringify(held)}\n`);
process.stdin.resume();
