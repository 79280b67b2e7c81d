import assert from 'node:assert/strict';
import { tellsLoopsApart } from '../../../src/topology/loop-backing.js';

describe('tellsLoopsApart', () => {
  for (const [version, tells] of [
    ['6.18.44-fc-v595', true],
    ['6.12.117+deb13-amd64', true],
    ['6.5.0', true],
    ['6.4.16', false],
    ['6.1.0-49-amd64', false],
    ['6.1.38', false],
    ['6.1.39', true],
    ['6.1.176-1', true],
    ['5.15.200', false],
    ['7.0.0-rc1', true],
    ['rubbish', false],
  ] as const) {
    it(`${tells ? 'holds' : 'is not relied on'} for Linux ${version}`, () => {
      assert.equal(tellsLoopsApart(version), tells);
    });
  }
});
