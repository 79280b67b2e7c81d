/** Where a piece of generated code comes from. */
export interface Segment {
  /** In the generated text: line from 0, column. */
  readonly line: number;
  readonly column: number;
  readonly source: number;
  /** In the source, from 0. */
  readonly sourceLine: number;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Reads the `mappings` of a source map (ECMA-426). */
export function readMappings(mappings: string): Segment[] {
  const segments: Segment[] = [];
  let [source, sourceLine] = [0, 0];
  for (const [line, text] of mappings.split(';').entries()) {
    let column = 0;
    for (const segment of text.split(',')) {
      const [step = 0, sourceStep, lineStep = 0] = readNumbers(segment);
      column += step;
      if (sourceStep === undefined) continue;
      source += sourceStep;
      sourceLine += lineStep;
      segments.push({ line, column, source, sourceLine });
    }
  }
  return segments;
}

function readNumbers(text: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const digit of text) {
    const bits = DIGITS.indexOf(digit);
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
