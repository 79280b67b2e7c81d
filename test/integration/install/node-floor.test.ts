import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../bed/paths.js';
import { type Run, startProgram } from '../../bed/script.js';

describe('a Node.js that is too old', function () {
  this.timeout(30_000);
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-node-'));
    writeFileSync(
      join(directory, 'old.cjs'),
      "Object.defineProperty(process.versions, 'node', { value: '18.20.4' });",
    );
    // The wrapper serves scripts that look for node in PATH.
    const wrapper = `#!/bin/sh\nexec ${process.execPath} --require ${join(directory, 'old.cjs')} "$@"\n`;
    writeFileSync(join(directory, 'node'), wrapper, { mode: 0o755 });
  });
  after(() => rmSync(directory, { recursive: true }));

  const run = (...command: string[]): Promise<Run> => {
    const [file = '', ...args] = command;
    return startProgram(file, args, { PATH: `${directory}:${process.env.PATH}` }).ended;
  };
  const sentence = (who: string): RegExp =>
    new RegExp(`^${who}: /.* is Node\\.js 18\\.20\\.4: 20\\.19 or later is needed\\n$`);

  for (const [what, command, who] of [
    ['the command', ['node', 'dist/xen-blkback.cjs', 'list'], 'xen-blkback'],
    ['the daemon', ['node', 'dist/xen-blkback.cjs', 'daemon'], 'xen-blkback'],
    ['the hotplug script', ['hotplug-scripts/block-diskseq', 'add'], 'xen-blkback'],
    ['setup', ['.ci/setup'], 'setup'],
  ] as const) {
    it(`is named by ${what} in one sentence`, async () => {
      const [file, ...args] = command.map((word) =>
        word.includes('/') ? join(projectRoot, word) : word,
      );
      const { status, stdout, stderr } = await run(file ?? '', ...args);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, sentence(who));
    });
  }
});
