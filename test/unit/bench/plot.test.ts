import assert from 'node:assert/strict';
import { drawBars, formatTime } from '../../../bench/plot.js';

describe('the plot', () => {
  it('writes times with two digits and the unit that suits', () => {
    const times = [0.6449, 4.449, 10, 99.6, 999, 1000, 12_345];
    assert.deepEqual(times.map(formatTime), [
      '0.64 ms',
      '4.4 ms',
      '10 ms',
      '100 ms',
      '999 ms',
      '1 s',
      '12 s',
    ]);
  });

  it('draws a bar for each time, as long as its logarithm', () => {
    const bars = [1, 10, 100].map((milliseconds) => ({
      label: `a < ${milliseconds}`,
      milliseconds,
      kind: 'ours' as const,
    }));
    const svg = drawBars('x & y', [{ title: 'group', bars }]);
    assert.match(svg, /^<svg [^>]*>\n<title>x &amp; y<\/title>/);
    const widths = [...svg.matchAll(/<rect x="210" y="\d+" width="([\d.]+)"/g)].map(([, w]) => w);
    assert.deepEqual(widths, ['1', '235', '470']);
    assert.ok(svg.includes('a &lt; 100') && !svg.includes('a < '));
  });
});
