import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { attachLayer, Demo } from '../../bed/demo-story.js';
import { loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';

describe('the demo', () => {
  it('shows a layer, and leaves nothing', async function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
    await using bed = await startBed({ guise: 'stock' });
    await using store = await openStore(bed);
    const image = makeImage(bed.images, { marker: 'the disk of guest 9', size: 1 << 20 });
    await attachLayer(new Demo(bed, store), image);
    assert.deepEqual(await loopsLeft(bed.images), []);
  });
});
