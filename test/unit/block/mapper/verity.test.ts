import assert from 'node:assert/strict';
import { parseVerity } from '../../../../src/block/mapper/verity.js';
import type { MapperState, MapperTarget } from '../../../../src/linux/mapper-state.js';

const ROOT = 'AB'.repeat(32);
const PARAMS = `1 7:0 7:1 4096 4096 256 1 sha256 ${ROOT} -`;

function mapper(...targets: MapperTarget[]): MapperState {
  return {
    devnum: { major: 253, minor: 0 },
    name: 'v',
    uuid: '',
    openCount: 0,
    live: true,
    suspended: false,
    readOnly: true,
    deferredRemove: false,
    targets,
  };
}

const target = (params: string, type = 'verity'): MapperTarget => ({
  start: 0n,
  length: 2048n,
  type,
  params,
});

describe('parseVerity', () => {
  it('reads digest, extent and algorithm from the table', () => {
    assert.deepEqual(parseVerity(mapper(target(PARAMS))), {
      dataBlockSize: 4096n,
      dataBlocks: 256n,
      algorithm: 'sha256',
      rootDigest: ROOT.toLowerCase(),
      onCorruption: 'eio',
      checksOnce: false,
    });
  });

  for (const mode of ['ignore_corruption', 'restart_on_corruption', 'panic_on_corruption']) {
    it(`tells ${mode} among the options`, () => {
      const table = parseVerity(mapper(target(`${PARAMS} 2 check_at_most_once ${mode}`)));
      assert.equal(table?.onCorruption, mode);
      assert.equal(table?.checksOnce, true);
    });
  }

  it('does not take a salt or a digest for an option', () => {
    for (const salt of ['ignore_corruption', 'check_at_most_once']) {
      const table = parseVerity(mapper(target(`${PARAMS.slice(0, -1)}${salt}`)));
      assert.deepEqual([table?.onCorruption, table?.checksOnce], ['eio', false]);
    }
  });

  it('is nothing for other targets, several targets, or a table that is cut off', () => {
    assert.equal(parseVerity(mapper(target('7:0 0', 'linear'))), undefined);
    assert.equal(parseVerity(mapper(target(PARAMS), target(PARAMS))), undefined);
    assert.equal(parseVerity(mapper(target('1 7:0 7:1 4096'))), undefined);
    assert.equal(parseVerity(mapper()), undefined);
  });
});
