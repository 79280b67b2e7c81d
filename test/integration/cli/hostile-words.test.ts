import assert from 'node:assert/strict';
import { needs } from '../../bed/needs.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

/** Command lines that people get wrong, and what they are told. */
describe('A command line that is wrong', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function refused(
    { cli }: Pick<HotplugFixture, 'cli'>,
    words: readonly string[],
    status: number,
    sentence: RegExp,
  ): Promise<void> {
    const run = await cli(words);
    assert.equal(run.status, status, `${words.join(' ')}: ${run.stderr}`);
    assert.match(run.stderr, sentence);
    assert.match(run.stderr, /^xen-blkback: [^\n]+\n$/);
  }

  for (const [words, status, sentence] of [
    [['list', '-o'], 2, /--columns needs a value: --columns COLUMNS; see xen-blkback help list/],
    [['-x'], 2, /there is no option -x/],
    [['--jsno'], 2, /there is no option --jsno: did you mean --json\? see/],
    [['--json'], 2, /a command is needed/],
    [['--version', '--json'], 2, /--version stands alone; see/],
    [['list', '--constructor'], 2, /list has no option --constructor; see/],
    [['list', '-toString=1'], 2, /list has no option --toString; see/],
    [['gc', '--loop'], 2, /gc has no option --loop: did you mean --loops\?/],
    [['gc', '--yes=no'], 2, /--yes takes no value/],
    [['wait', '7/99'], 1, /there is no backend backend\/vbd\/7\/99 in XenStore/],
    [['check', '/nowhere,sharing=allow'], 1, /no such file.*write path=\/nowhere,sharing=allow/],
  ] as const) {
    it(`is told: ${words.join(' ')}`, () =>
      withFixture((fixture) =>
        refused({ cli: (all) => fixture.cli(all) }, words, status, sentence),
      ));
  }

  it('is told in hotplug-error, too, where keys follow a bare path', () =>
    withFixture(async (fixture) => {
      const image = fixture.image();
      const vbd = await fixture.vbd(`${image},sharing=allow`);
      assert.equal((await fixture.script(vbd, 'add')).status, 1);
      const error = (await fixture.node(vbd, 'hotplug-error')) ?? '';
      assert.ok(error.includes(`write path=${image},sharing=allow`), error);
    }));
});
