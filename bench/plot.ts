// Draws bars on one logarithmic axis as SVG. Pure.

/** One bar of a plot. */
export interface Bar {
  readonly label: string;
  readonly milliseconds: number;
  /** Whether the bar belongs to this project or to a program that it is compared with. */
  readonly kind: 'ours' | 'other';
}

/** A group of bars with a title. */
export interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const LABELS = 210;
const VALUES = 80;
const MARGIN = 16;
const BAR = 16;
const STEP = 22;
const TITLE = 26;
const COLOURS = { ours: '#2563a8', other: '#b9a27c' };
const FONT = 'font-family="Helvetica, Arial, sans-serif"';

/** Draws groups of bars below each other. The length of a bar is the logarithm of its time. */
export function drawBars(caption: string, groups: readonly Group[]): string {
  const times = groups.flatMap(({ bars }) => bars.map(({ milliseconds }) => milliseconds));
  const first = Math.floor(Math.log10(Math.min(...times)));
  const last = Math.ceil(Math.log10(Math.max(...times)));
  const x = (milliseconds: number): number =>
    LABELS + ((Math.log10(milliseconds) - first) / (last - first)) * (WIDTH - LABELS - VALUES);
  const parts: string[] = [text(MARGIN, 22, caption, 'font-size="14" font-weight="bold"')];
  let y = 40;
  for (const { title, bars } of groups) {
    parts.push(text(MARGIN, y + 14, title, 'font-size="12" font-weight="bold"'));
    y += TITLE;
    for (const bar of bars) {
      const end = x(bar.milliseconds);
      parts.push(
        text(LABELS - 8, y + 12, bar.label, 'font-size="12" text-anchor="end"'),
        `<rect x="${LABELS}" y="${y}" width="${round(Math.max(end - LABELS, 1))}" height="${BAR}" fill="${COLOURS[bar.kind]}"/>`,
        text(end + 6, y + 12, formatTime(bar.milliseconds), 'font-size="12"'),
      );
      y += STEP;
    }
    y += 8;
  }
  const lines: string[] = [];
  for (let power = first; power <= last; power++) {
    const at = round(x(10 ** power));
    lines.push(
      `<line x1="${at}" y1="40" x2="${at}" y2="${y}" stroke="#dddddd"/>`,
      text(at, y + 16, formatTime(10 ** power), 'font-size="11" text-anchor="middle"'),
    );
  }
  const height = y + 28;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escapeXml(caption)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...lines,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/** Formats a time in ms or s: two significant digits below 10, and whole numbers above. */
export function formatTime(milliseconds: number): string {
  const [value, unit] = milliseconds < 1000 ? [milliseconds, 'ms'] : [milliseconds / 1000, 's'];
  return `${value < 10 ? Number(value.toPrecision(2)) : Math.round(value)} ${unit}`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${y}" ${FONT} fill="#222222" ${attributes}>${escapeXml(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
