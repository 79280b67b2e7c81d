import type { Profiler } from 'node:inspector';
import { readMappings } from './source-map.js';

/** Lines of sources, by their path below src: whether any run has executed something on them. */
export type Lines = Map<string, Map<number, boolean>>;

export interface SourceMapText {
  readonly sources: readonly string[];
  readonly mappings: string;
}

/**
 * Adds what V8 says of one script. Types and comments have no code, and are no lines here.
 *
 * @param at where the text begins in the script.
 */
export function addScript(
  lines: Lines,
  text: string,
  map: SourceMapText,
  functions: readonly Profiler.FunctionCoverage[],
  at = 0,
): void {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const counts = countsOf(at + text.length, functions);
  for (const { line, column, source, sourceLine } of readMappings(map.mappings)) {
    const name = /(?:^|\/)src\/(.*\.ts)$/.exec(map.sources[source] ?? '')?.[1];
    if (name === undefined) continue;
    const file = lines.get(name) ?? new Map<number, boolean>();
    lines.set(name, file);
    const isCovered = (counts[at + (starts[line] ?? 0) + column] ?? 0) > 0;
    file.set(sourceLine + 1, (file.get(sourceLine + 1) ?? false) || isCovered);
  }
}

/** How often each character has been executed: the innermost range tells. */
function countsOf(length: number, functions: readonly Profiler.FunctionCoverage[]): Uint8Array {
  const counts = new Uint8Array(length).fill(1);
  const ranges = functions.flatMap((one) => one.ranges);
  // Outer ones first; of those of one size what was counted most, as a function may be there twice.
  const sizeOf = (range: Profiler.CoverageRange): number => range.endOffset - range.startOffset;
  ranges.sort((a, b) => sizeOf(b) - sizeOf(a) || a.count - b.count);
  for (const { startOffset, endOffset, count } of ranges) {
    counts.fill(Math.min(count, 255), startOffset, endOffset);
  }
  return counts;
}
