import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listScriptNames } from '../../../src/cli/script-names.js';

describe('the names of our hotplug scripts', () => {
  it('are its own and those that lead to the client', () => {
    const directory = mkdtempSync(join(tmpdir(), 'xen-scripts-'));
    try {
      const client = '/usr/libexec/xen-blkback/block-diskseq';
      for (const name of ['block-diskseq', 'qubes-block', 'block']) {
        symlinkSync(client, join(directory, name));
      }
      symlinkSync('/usr/libexec/other', join(directory, 'other'));
      writeFileSync(join(directory, 'vif-bridge'), '');
      assert.deepEqual(listScriptNames(directory), ['block-diskseq', 'block', 'qubes-block']);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('are its own alone where nothing is installed', () => {
    assert.deepEqual(listScriptNames('/nonexistent/scripts'), ['block-diskseq']);
  });
});
