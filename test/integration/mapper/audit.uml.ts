import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { attachLoop } from '../../bed/images.js';
import { assertSchema } from '../../bed/json-schema.js';
import { createMapped, linear, mappedNames } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { on } from '../hotplug/fixture.js';

describe('xen-blkback audit and gc, with layers', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'find a layer whose vbd is gone, and remove it where nobody has it open',
    on({}, async (fixture) => {
      const attached = await fixture.vbd(`path=${fixture.image()},layer=linear`);
      await fixture.attach(attached);
      const kept = await mappedNames();
      await using disk = await attachLoop(fixture.image());
      const layer = (part: string, sectors: number) =>
        createMapped(`xenvbd-9-51712-${part}`, linear(disk.path, sectors), {
          uuid: `XENVBD-9-51712-${part}`,
        });
      await using idle = await layer('aa', 1024);
      await using used = await layer('bb', 512);
      await using over = await attachLoop(used.path);
      const { findings } = assertSchema('audit', (await fixture.cli(['audit', '--json'])).stdout);
      assert.deepEqual(
        (findings as { kind: string; object: string }[])
          .filter(({ kind }) => kind === 'layer-left')
          .map(({ object }) => object),
        [`mapper device ${idle.name}`],
      );
      // This `gc` waits in vain for the layer that is open.
      const { stdout } = await fixture.cli(['gc', '--yes', '--json', '--timeout', '2']);
      assertSchema('gc', stdout);
      assert.deepEqual(await mappedNames(), [...kept, used.name].sort());
      await over[Symbol.asyncDispose]();
      await fixture.delete(attached);
    }),
  );

  it(
    'end a loop device that nobody uses where --loops asks for it, and none that somebody has open',
    on({}, async (fixture) => {
      await using idle = await attachLoop(fixture.image());
      await using used = await attachLoop(fixture.image());
      await using over = await attachLoop(used.path);
      const fd = openSync(over.path, 'r');
      try {
        const without = (await fixture.cli(['gc', '--yes'])).stdout;
        assert.match(without, /left to you \/dev\/loop\d+ \(loop-unexplained\)/);
        const dry = (await fixture.cli(['gc', '--loops'])).stdout;
        assert.ok(dry.includes(`would end ${idle.path} (loop-unexplained)`), dry);
        assert.equal(fixture.loops().length, 2);
        const { status, stdout } = await fixture.cli(['gc', '--loops', '--yes']);
        assert.equal(status, 0);
        assert.equal(stdout, `ended ${idle.path} (loop-unexplained)\n`);
        assert.deepEqual(fixture.loops(), [used.path]);
      } finally {
        closeSync(fd);
      }
      await over.detach();
      await used.detach();
    }),
  );
});
