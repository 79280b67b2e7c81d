import assert from 'node:assert/strict';
import { formatMetrics } from '../../../src/daemon/metrics.js';
import { toPrometheusText } from '../../../src/daemon/prometheus-text.js';
import { Statistics } from '../../../src/daemon/statistics.js';
import type { VbdEvent } from '../../../src/daemon/vbd-event.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';

const STATE = {
  ...{ version: '1"\\\n', pid: 1, connected: true, openVbds: 3, readers: 0 },
  hung: [{ what: '/mnt', seconds: 4 }],
};

/** Records steps of one attach, each with its time in milliseconds. */
function note(statistics: Statistics, ...steps: [VbdEvent['step'], number, string?][]): void {
  for (const [step, ms, code] of steps) {
    const vbd = vbdPath(7, 51712);
    statistics.note({ time: new Date(ms), vbd, action: 'add', step, detail: '', code });
  }
}

describe('Statistics', () => {
  it('measure from the first step to the last, and forget what is over', () => {
    const statistics = new Statistics();
    note(statistics, ['planned', 1000]);
    assert.equal(statistics.running, 1);
    note(statistics, ['opened', 1010], ['warned', 1015], ['attached', 1020]);
    note(statistics, ['planned', 2000], ['failed', 2500, 'EBUSY'], ['failed', 3000]);
    const { count, sum, buckets } = statistics.durations.add;
    assert.deepEqual([count, sum.toFixed(3), buckets.slice(0, 4)], [1, '0.020', [0, 0, 1, 1]]);
    assert.deepEqual([statistics.running, statistics.warnings], [0, 1]);
    assert.deepEqual(
      [...statistics.failures],
      [
        ['add EBUSY', 1],
        ['add EINTERNAL', 1],
      ],
    );
  });
});

/** Checks the rules of OpenMetrics 1.0 that concern this text. */
function check(text: string): void {
  assert.ok(text.endsWith('# EOF\n'));
  let family = '';
  const seen = new Set<string>();
  for (const line of text.split('\n').slice(0, -2)) {
    const [, name] = /^# TYPE (\w+) (?:gauge|counter|info|histogram)$/.exec(line) ?? [];
    if (name !== undefined) {
      assert.ok(!seen.has(name), `${name} is not in one piece`);
      seen.add(name);
      family = name;
    } else if (line.startsWith('# ')) {
      assert.match(line, new RegExp(`^# (HELP|UNIT) ${family} .+$`));
    } else {
      assert.match(line, /^\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? -?\d[\d.e+-]*$/);
      const suffix = /^(\w+?)(_total|_info|_bucket|_count|_sum)?[{ ]/.exec(line);
      assert.equal(suffix?.[1], family, line);
    }
  }
}

describe('formatMetrics', () => {
  it('makes OpenMetrics text, whatever has happened', () => {
    const statistics = new Statistics();
    check(formatMetrics(STATE, statistics));
    note(statistics, ['planned', 0], ['attached', 40_000], ['failed', 1, 'EBUSY']);
    const text = formatMetrics(STATE, statistics);
    check(text);
    assert.match(text, /_bucket\{le="30\.0"\} 0\n.*_bucket\{le="\+Inf"\} 1\n/);
    assert.match(text, /^xen_blkback_open_vbds 3$/m);
    assert.match(text, /^xen_blkback_hung 1$/m);
  });

  it('leaves out what is not known', () => {
    const text = formatMetrics({ ...STATE, openVbds: undefined }, new Statistics());
    assert.doesNotMatch(text, /open_vbds/);
    check(text);
  });
});

describe('toPrometheusText', () => {
  it('names counters and infos as their samples, and leaves out what node-exporter does not know', () => {
    const statistics = new Statistics();
    note(statistics, ['planned', 1000], ['attached', 1020], ['failed', 1500, 'EBUSY']);
    const text = toPrometheusText(formatMetrics(STATE, statistics));
    assert.ok(text.endsWith('\n'));
    // The older format requires a type, and samples of the family that was named last.
    let [family, type] = ['', ''];
    for (const line of text.split('\n').slice(0, -1)) {
      const head = /^# TYPE (\w+) (gauge|counter|histogram)$/.exec(line);
      if (head) [, family = '', type = ''] = head;
      else if (line.startsWith('#')) assert.ok(line.startsWith(`# HELP ${family} `), line);
      else {
        const suffix = type === 'histogram' ? '_(bucket|sum|count)' : '';
        assert.match(line, new RegExp(`^${family}${suffix}[{ ]`));
      }
    }
    assert.match(text, /^xen_blkback_failures_total\{action="add",code="EBUSY"\} 1$/m);
    assert.match(text, /^# TYPE xen_blkback_build_info gauge$/m);
  });
});
