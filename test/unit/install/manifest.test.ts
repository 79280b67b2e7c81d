import assert from 'node:assert/strict';
import { below, formatManifest, parseManifest } from '../../../install/manifest.js';

const HASH = 'ab'.repeat(32);

describe('the manifest', () => {
  it('says again what it was told', () => {
    const manifest = {
      files: new Map([
        ['/usr/bin/a', HASH],
        ['/usr/lib/with blank', undefined],
      ]),
      conffiles: new Map([['/etc/default/a', HASH]]),
      directories: ['/usr', '/usr/lib'],
    };
    assert.deepEqual(parseManifest(formatManifest(manifest)), manifest);
  });

  for (const line of [
    'file relative',
    'file /',
    'file /usr/../etc/passwd',
    'file /usr//lib',
    `directory ${HASH} /usr/a`,
    `file ${HASH.slice(1)} /usr/a`,
    'conffile /etc/a',
    `conffile ${HASH.slice(1)} /etc/a`,
    'link /usr/a',
    'nonsense',
  ]) {
    it(`is refused with the line ${line}`, () =>
      assert.throws(() => parseManifest(`${line}\n`), /means nothing/));
  }

  it('has paths that lie below destdir', () => {
    assert.equal(below('/', '/usr/bin/a'), '/usr/bin/a');
    assert.equal(below('/srv/d', '/usr/bin/a'), '/srv/d/usr/bin/a');
  });
});
