import { needs } from '../../bed/needs.js';
import { defineRows } from './rows.js';

describe('What blkback has open decides', function () {
  this.timeout(120_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  describe('for a mapper device:', () => defineRows('mapper'));
});
