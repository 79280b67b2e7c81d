import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { encodeJournalEntry, isStderrJournal } from '../../../src/daemon/journal.js';

describe('the journal', () => {
  it('gets a field a line, and by its length what has line ends in it', () => {
    assert.deepEqual(
      encodeJournalEntry({ MESSAGE: 'grüß dich', TWO: 'a\nbc', PRIORITY: '6' }),
      Buffer.from('MESSAGE=grüß dich\nTWO\n\x04\0\0\0\0\0\0\0a\nbc\nPRIORITY=6\n'),
    );
  });

  it('is where stderr goes only if that is the very stream', () => {
    const { dev, ino } = fstatSync(2, { bigint: true });
    assert.equal(isStderrJournal({ JOURNAL_STREAM: `${dev}:${ino}` }), true);
    assert.equal(isStderrJournal({ JOURNAL_STREAM: `${dev}:${ino + 1n}` }), false);
    assert.equal(isStderrJournal({ JOURNAL_STREAM: '' }), false);
    assert.equal(isStderrJournal({}), false);
  });
});
