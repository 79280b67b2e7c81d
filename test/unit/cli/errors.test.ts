import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { statusOf, statusOfQuestion } from '../../../src/cli/exit-status.js';
import { ERRNO } from '../../../src/util/errno.js';
import { projectRoot } from '../../bed/paths.js';

const SRC = join(projectRoot, 'src');
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(join(SRC, name), 'utf8'));

/** Returns the rows of the tables of docs/errors.md that begin with a code. */
const rows = readFileSync(join(projectRoot, 'docs/errors.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| `(E\w+)` \| (\d) \| (\d) \| (.+) \| (.+) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, code = '', status, question, meaning, remedy]) => ({
    ...{ code, status: Number(status), question: Number(question), meaning, remedy },
  }));
const isErrno = (code: string): boolean => Object.hasOwn(ERRNO, code);

/** Returns each text that the pattern finds in the sources, once and in alphabetical order. */
const findAll = (pattern: RegExp): string[] =>
  [
    ...new Set(sources.flatMap((text) => [...text.matchAll(pattern)].map(([, code = '']) => code))),
  ].sort();

describe('The table of error codes', () => {
  it('has each code of this project that the sources have, and no other', () => {
    const used = findAll(/'(E[A-Z0-9]{3,})'/g).filter((code) => !isErrno(code));
    assert.ok(used.length > 30);
    assert.deepEqual(
      rows.map(({ code }) => code).filter((code) => !isErrno(code)),
      used,
    );
  });

  it('has each errno that this project gives to errors of its own', () => {
    const listed = rows.map(({ code }) => code);
    const used = findAll(/code: '(E[A-Z0-9]{2,})'/g).filter(isErrno);
    assert.ok(used.length > 10);
    assert.deepEqual(
      used.filter((code) => !listed.includes(code)),
      [],
    );
  });

  it('has each code once, and each errno by a name that there is', () => {
    const listed = rows.map(({ code }) => code);
    assert.deepEqual(listed, [...new Set(listed)]);
    const errnos = listed.slice(listed.findIndex(isErrno));
    assert.deepEqual(errnos, [...errnos].sort());
    assert.ok(errnos.every(isErrno));
  });

  for (const { code, status, question } of rows) {
    it(`tells the exit statuses of ${code}`, () => {
      assert.deepEqual([statusOf({ code }), statusOfQuestion({ code })], [status, question]);
    });
  }

  it('has every code that has a status of its own', () => {
    const listed = rows.map(({ code }) => code);
    for (const code of Object.keys(ERRNO)) {
      if (listed.includes(code)) continue;
      assert.deepEqual([statusOf({ code }), statusOfQuestion({ code })], [1, 1], code);
    }
  });
});
