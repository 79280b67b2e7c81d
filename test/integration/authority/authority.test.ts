import { needs } from '../../bed/needs.js';
import { defineRows } from './rows.js';

describe('What blkback has open decides', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('for a file:', () => defineRows('file'));
  describe('for a disk:', () => defineRows('disk'));
});
