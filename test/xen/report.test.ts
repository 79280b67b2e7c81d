import assert from 'node:assert/strict';
import { parseReportLine, summarise } from './report.js';

describe('the report of dom0', () => {
  it('is read line by line', () => {
    assert.deepEqual(parseReportLine('begin file-disk\r'), {
      kind: 'begin',
      scenario: 'file-disk',
    });
    assert.deepEqual(parseReportLine('pass file-disk 12.5'), {
      kind: 'outcome',
      outcome: { scenario: 'file-disk', passed: true, seconds: 12.5 },
    });
    assert.deepEqual(parseReportLine("fail file-disk 3.0 size: '1' was expected, '2' found"), {
      kind: 'outcome',
      outcome: {
        scenario: 'file-disk',
        passed: false,
        seconds: 3,
        reason: "size: '1' was expected, '2' found",
      },
    });
    assert.deepEqual(parseReportLine('note times ours: 1.20 s'), {
      kind: 'note',
      scenario: 'times',
      text: 'ours: 1.20 s',
    });
    assert.deepEqual(parseReportLine('done'), { kind: 'done' });
    assert.deepEqual(parseReportLine('| passed by'), { kind: 'other', text: '| passed by' });
  });

  it('ends in a table with a column for each driver, also where one has not come so far', () => {
    const passed = { scenario: 'file-disk', passed: true, seconds: 12.5 };
    const failed = { scenario: 'two-disks', passed: false, seconds: 3 };
    const outcomes = new Map([
      ['stock', [passed, failed]],
      ['diskseq', [passed]],
    ]);
    assert.deepEqual(summarise(outcomes, ['a note']).split('\n'), [
      '',
      '  scenario   stock             diskseq',
      '  file-disk  ok 12.5 s         ok 12.5 s',
      '  two-disks  FAILED 3.0 s      -',
      '',
      'a note',
    ]);
  });
});
