import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { MARKER, on } from '../hotplug/fixture.js';

const ARRAY = 'md_guest';
const PATH = `/dev/${ARRAY}`;

function setArray(values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    writeFileSync(`/sys/block/${ARRAY}/md/${name}`, value);
  }
}

describe('An md array that is assembled through sysfs', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });
  // An array that is cleared is gone, and so is its node. So each test makes it anew.
  beforeEach(() => writeFileSync('/sys/module/md_mod/parameters/new_array', ARRAY));
  afterEach(() => {
    if (existsSync(`/sys/block/${ARRAY}`)) setArray({ array_state: 'clear' });
  });

  /** Assembles an array of one disk without metadata, and does not start it. */
  function assemble(devnum: string): void {
    const [major = '', minor = ''] = devnum.split(':');
    const disk = `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`;
    setArray({ metadata_version: 'none', level: 'raid1', raid_disks: '1', chunk_size: '0' });
    setArray({ component_size: '1024', new_dev: disk });
  }

  it(
    'is waited for until it is started',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image(MARKER));
      assemble(loop.devnum);
      const vbd = await fixture.vbd(PATH);
      const attached = fixture.attach(vbd);
      setTimeout(() => {
        setArray({ [`dev-${basename(loop.path)}/slot`]: '0' });
        setArray({ array_state: 'active' });
      }, 300);
      await attached;
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      await fixture.delete(vbd);
      setArray({ array_state: 'clear' });
    }),
  );

  it(
    'is called what it is where it does not start',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(PATH);
      const error = await failure('EINACTIVE', fixture.attach(vbd, { timeoutMs: 1000 }));
      assert.match(error.message, /\/dev\/md_guest is an md array that is not started/);
      assert.match(error.message, /array_state clear/);
    }),
  );
});
