import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { on } from '../hotplug/fixture.js';

describe('A loop device that clears itself while a guest reads it', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'keeps other readers from nothing, and a writer from everything',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using loop = await attachLoop(image);
      const first = await fixture.vbd(loop.path, { mode: 'r' });
      await fixture.attach(first);
      // The loop device is writable and busy, so from now on it clears itself after its last close.
      await loop.detach();

      const reader = await fixture.vbd(image, { frontend: 9, mode: 'r' });
      await fixture.attach(reader);
      const writer = await fixture.vbd(image, { frontend: 10, mode: 'w' });
      await failure('EBUSY', fixture.attach(writer));
      await fixture.delete(reader);
      await fixture.delete(first);
    }),
  );
});
