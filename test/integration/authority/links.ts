import assert from 'node:assert/strict';
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { GUISES, type Kind, withGround } from './ground.js';
import { assertRemoved } from './guests.js';

/** Defines the tests of links for one kind of target. */
export function defineLinks(kind: Kind): void {
  if (kind === 'file') return;
  for (const guise of GUISES) {
    it(
      `params is a link to the device: physical-device-path is the kernel's own name of it (${guise})`,
      withGround(kind, { guise }, async (fixture, { path, device }) => {
        const link = join(fixture.bed.directory, 'link');
        symlinkSync(path, link);
        for (const params of [link, path]) {
          const vbd = await fixture.vbd(params);
          const { status, stderr } = await fixture.script(vbd, 'add');
          assert.equal(status, 0, stderr);
          assert.equal(await fixture.node(vbd, 'physical-device-path'), device?.path);
          if (params === link) {
            // The link leads elsewhere now. A second add either succeeds all the same or says why
            // it does not.
            rmSync(link);
            symlinkSync('/dev/null', link);
            await fixture.attach(vbd).catch(() => undefined);
            assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
          }
          await fixture.close(vbd);
          await assertRemoved(fixture, vbd);
        }
      }),
    );
  }
}
