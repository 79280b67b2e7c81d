/**
 * Prints the minimum, the median and the maximum of each contender, and the ratio of its median to
 * the median of `reference`. The times are in milliseconds.
 */
export function printTable(times: ReadonlyMap<string, readonly number[]>, reference: string): void {
  const base = median(times.get(reference) ?? []);
  console.log(`| ${['', 'min', 'median', 'max', `÷ ${reference}`].join(' | ')} |`);
  console.log('|---|---|---|---|---|');
  for (const [name, values] of times) {
    const figures = [Math.min(...values), median(values), Math.max(...values)];
    const cells = figures.map((ms) => `${ms.toFixed(0)} ms`);
    console.log(`| ${[name, ...cells, (median(values) / base).toFixed(2)].join(' | ')} |`);
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
