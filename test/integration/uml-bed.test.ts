import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs } from '../bed/needs.js';
import { projectRoot } from '../bed/paths.js';
import { boot } from '../bed/uml/boot.js';
import type { InnerEvent } from '../bed/uml/job.js';
import { outlineOf } from '../bed/uml/outline.js';

const TROUBLE = join(projectRoot, 'dist/test/bed/uml/fixture/trouble.js');

describe('User-Mode Linux bed', function () {
  this.timeout(90_000);
  before(function () {
    needs(this, 'uml');
  });

  it('knows the tests of a file without running any', () => {
    const { suites } = outlineOf([TROUBLE]);
    const trouble = suites[0];
    assert.deepEqual(
      trouble?.tests.map(({ title }) => title),
      ['passes', 'fails', 'is skipped'],
    );
    const [hook, end] = trouble?.suites ?? [];
    assert.deepEqual(hook?.tests, [
      { title: 'is never run', fullTitle: 'trouble behind a hook is never run' },
    ]);
    assert.equal(end?.title, 'without end');
  });

  it('brings back what passed, failed, was skipped; a test that hangs ends the machine', async () => {
    const events: InnerEvent[] = [];
    let directory = '';
    const collect = async () => {
      await using machine = boot({ files: [TROUBLE], env: {} }, { graceMs: 2000 });
      directory = machine.directory;
      for await (const event of machine.events()) {
        if (events.length === 0) assert.notDeepEqual(processesWith(directory), []);
        events.push(event);
      }
    };
    await assert.rejects(collect(), ({ message }: Error) => {
      assert.match(
        message,
        /was silent for 3000 ms and was killed while: trouble without end hangs/,
      );
      assert.match(message, /the last words/);
      return true;
    });
    assert.deepEqual(events.filter(({ event }) => event !== 'begins').map(inShort), [
      'said a word from inside',
      'passed trouble passes',
      'failed trouble fails: as it should',
      'skipped trouble is skipped',
      'failed trouble behind a hook "before all" hook: that fails for "is never run": no such luck',
    ]);
    assert.deepEqual(processesWith(directory), []);
    assert.ok(!existsSync(directory));
  });

  it('says why it could not even boot', async () => {
    const collect = async () => {
      await using machine = boot({ files: ['/no/such/file.js'], env: {} });
      for await (const event of machine.events()) assert.fail(JSON.stringify(event));
    };
    await assert.rejects(
      collect(),
      /User-Mode Linux ended while: booting[\s\S]*\/no\/such\/file\.js/,
    );
  });
});

function inShort(event: InnerEvent): string {
  switch (event.event) {
    case 'said':
      return `said ${event.text}`;
    case 'failed':
      return `failed ${event.title}: ${event.message}`;
    case 'ended':
      return 'ended';
    default:
      return `${event.event} ${event.title}`;
  }
}

/** Returns the processes that have the word in their arguments. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(word);
    } catch {
      return false;
    }
  });
}
