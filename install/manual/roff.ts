// Converts the Markdown of this project's documents to manual pages: headings, paragraphs, lists,
// tables and blocks of code. Escapes characters that have a meaning in roff.

/** Escapes a text so that roff prints it unchanged. */
export function escapeRoff(text: string): string {
  return text.replace(/\\/g, '\\e').replace(/-/g, '\\-').replace(/…/g, '...');
}

/** Converts a paragraph: `code` becomes bold, and a link becomes its text. */
export function inline(text: string): string {
  const plain = text
    .replace(/\[([^\]]*)\]\(([^)]*)\)/g, (_, label: string, target: string) =>
      /^https?:/.test(target) && label !== target ? `${label} (${target})` : label,
    )
    .trim();
  const parts = plain
    .split(/(`[^`]+`)/)
    .map((part) =>
      /^`[^`]+`$/.test(part) ? `\\fB${escapeRoff(part.slice(1, -1))}\\fR` : emphasize(part),
    );
  return startSafely(parts.join(''));
}

/** Escapes a `.` or `'` at the start of a line, which roff would take for a request. */
function startSafely(text: string): string {
  return text.replace(/^([.'])/gm, '\\&$1');
}

function emphasize(text: string): string {
  return text
    .split(/(\*\*[^*]+\*\*)/)
    .map((part) =>
      part.startsWith('**') ? `\\fB${escapeRoff(part.slice(2, -2))}\\fR` : escapeRoff(part),
    )
    .join('');
}

/** Converts the sections of a document below its title to the lines of a manual page. */
export function fromMarkdown(markdown: string): string {
  const blocks = markdown
    .trim()
    .split(/\n{2,}(?=(?:(?!```)[\s\S])*(?:```(?:(?!```)[\s\S])*```(?:(?!```)[\s\S])*)*$)/);
  return `${blocks.map(blockToRoff).join('\n')}\n`;
}

function blockToRoff(block: string): string {
  const [first = ''] = block.split('\n');
  if (first.startsWith('## ')) return `.SH ${escapeRoff(first.slice(3).toUpperCase())}`;
  if (first.startsWith('### ')) return `.SS ${escapeRoff(first.slice(4))}`;
  if (first.startsWith('```')) return codeToRoff(block.split('\n').slice(1, -1).join('\n'));
  if (first.startsWith('|')) return tableToRoff(block.split('\n'));
  if (/^(- |\d+\. )/.test(first)) return listToRoff(block);
  return `.PP\n${inline(block)}`;
}

function codeToRoff(code: string): string {
  return `.PP\n.nf\n${startSafely(escapeRoff(code))}\n.fi`;
}

function listToRoff(block: string): string {
  const items = block.split(/\n(?=- |\d+\. )/);
  return items
    .map((item) => {
      const [, mark = '', text = ''] = /^(- |\d+\. )([\s\S]*)$/.exec(item) ?? [];
      const sign = mark === '- ' ? '\\(bu' : mark.trim();
      return `.IP ${sign} 4\n${inline(text.replace(/\n +/g, '\n'))}`;
    })
    .join('\n');
}

/**
 * Converts a table. Each row becomes an entry: the first cell is its name, the last cell comes
 * next, and the other cells follow with the heads of their columns.
 */
function tableToRoff(lines: readonly string[]): string {
  const cells = (line: string): string[] =>
    line
      .replace(/^\||\|$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replace(/\\\|/g, '|'));
  const [head = [], , ...rows] = lines.map(cells);
  return rows
    .map(([name = '', ...rest]) => {
      const last = rest.at(-1) ?? '';
      const notes = rest
        .slice(0, -1)
        .map((cell, index) => (cell === '' ? '' : `${upper(head[index + 1] ?? '')}: ${cell}.`))
        .filter((note) => note !== '');
      const text = [upper(last), ...notes].map((note) => inline(endSentence(note)));
      return `.TP\n${inline(name)}\n${text.join('\n')}`;
    })
    .join('\n');
}

const endSentence = (text: string): string =>
  /[.?!]$/.test(text) || text === '' ? text : `${text}.`;
const upper = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
