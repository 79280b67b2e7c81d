import type { Declaration } from './declarations.js';

const HEAD = `# The functions and types of the library

<!-- made by npm run docs:api -->

This page is made from the declarations that the package ships. [library.md](library.md) explains how they
are used together.
`;

const SECTIONS: readonly (readonly [string, RegExp])[] = [
  ['Functions', /^export declare function/],
  ['Constants', /^export declare const/],
  ['Classes', /^export declare (abstract )?class/],
  ['Types', /^export (declare )?(interface|type)/],
];

/** The page about everything that the library exports. */
export function writeApiPage(exported: readonly Declaration[]): string {
  const sections = SECTIONS.map(([title, pattern]) => {
    const found = exported.filter(({ code }) => pattern.test(code.trimStart()));
    return `\n## ${title}\n\n${found.map(describe).join('\n')}`;
  });
  return `${HEAD}${sections.join('')}`;
}

function describe({ name, text }: Declaration): string {
  const [, comment = '', code = text] = /^(\/\*\*[\s\S]*?\*\/)\n([\s\S]*)$/.exec(text) ?? [];
  const plain = code
    .trim()
    .replace(/^export (declare )?/gm, '')
    // How it is kept is nobody's business.
    .replace(/^ +(#private|private .*);\n/gm, '')
    .replace(/;\s*$/, '');
  return `### ${name}\n\n${unwrapComment(comment)}\n\n\`\`\`ts\n${plain}\n\`\`\`\n`;
}

function unwrapComment(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim()
    .replace(/^@param (\w+) +/gm, '`$1`: ');
}
