import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { failure, on } from '../hotplug/stage.js';

describe('A loop device that clears itself while a guest reads it', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'keeps other readers from nothing, and a writer from everything',
    on({}, async (stage) => {
      const image = stage.image();
      await using loop = await attachLoop(image);
      const first = await stage.vbd(loop.path, { mode: 'r' });
      await stage.attach(first);
      // The loop device can be written, and is busy: it clears itself from now on.
      await loop.detach();

      const reader = await stage.vbd(image, { frontend: 9, mode: 'r' });
      await stage.attach(reader);
      const writer = await stage.vbd(image, { frontend: 10, mode: 'w' });
      await failure('EBUSY', stage.attach(writer));
      await stage.delete(reader);
      await stage.delete(first);
    }),
  );
});
