import assert from 'node:assert/strict';
import { layerParams } from '../../../../src/block/mapper/layer-table.js';

const BASE = { major: 7, minor: 12 };

describe('layerParams', () => {
  it('maps linear from the first sector on', () => {
    assert.equal(layerParams('linear', BASE, 512).toString(), '7:12 0\0');
  });

  it('gives crypt a key of 512 bits, and lets discards pass', () => {
    const text = layerParams('crypt', BASE, 512).toString();
    assert.match(text, /^aes-xts-plain64 [0-9a-f]{128} 0 7:12 0 1 allow_discards\0$/);
  });

  it('lets the sector size of crypt follow the device', () => {
    const text = layerParams('crypt', BASE, 4096).toString();
    assert.match(text, / 0 7:12 0 2 allow_discards sector_size:4096\0$/);
  });

  it('never draws one key twice', () => {
    const keys = Array.from({ length: 50 }, () => layerParams('crypt', BASE, 512).toString());
    assert.equal(new Set(keys).size, 50);
    for (const key of keys) assert.ok(!/ 0{128} /.test(key));
  });
});
