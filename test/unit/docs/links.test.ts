import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { projectRoot } from '../../bed/paths.js';

const DOCUMENTS = [
  ...readdirSync(projectRoot).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(projectRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
].sort();

const read = (name: string): string => readFileSync(join(projectRoot, name), 'utf8');
const withoutCode = (text: string): string => text.replace(/```[\s\S]*?```|`[^`\n]*`/g, '');

/** Returns the anchors that GitHub makes of the headings of a document. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.replace(/```[\s\S]*?```/g, '').matchAll(/^#+ (.*)$/gm)];
  return new Set(
    headings.map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replace(/ /g, '-'),
    ),
  );
}

/** Returns the links of a document that lead to files of the project. */
function linksOf(name: string): { readonly file: string; readonly anchor: string | undefined }[] {
  return [...withoutCode(read(name)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#');
      return { file: path === '' ? name : join(dirname(name), path), anchor };
    });
}

describe('the documents', () => {
  it('have links that lead to files and headings that there are', () => {
    assert.ok(DOCUMENTS.length > 20);
    const broken = DOCUMENTS.flatMap((name) =>
      linksOf(name)
        .filter(({ file, anchor }) => {
          if (!existsSync(join(projectRoot, file))) return true;
          return anchor !== undefined && !anchorsOf(read(file)).has(anchor);
        })
        .map(({ file, anchor }) => `${name}: ${file}${anchor === undefined ? '' : `#${anchor}`}`),
    );
    assert.deepEqual(broken, []);
  });

  it('are each reached from the index', () => {
    const reached = new Set(['README.md', 'docs/index.md']);
    for (const name of reached) {
      for (const { file } of linksOf(name)) if (file.endsWith('.md')) reached.add(file);
    }
    assert.deepEqual(
      DOCUMENTS.filter((name) => !reached.has(name)),
      [],
    );
  });

  it('name no file of the project that there is not', () => {
    const missing = DOCUMENTS.flatMap((name) =>
      [...read(name).matchAll(/`((?:src|test|install|native|docs|examples|bench)\/[\w./-]+)`/g)]
        .map(([, path = '']) => path.replace(/\.$/, ''))
        .filter((path) => !existsSync(join(projectRoot, path)))
        .map((path) => `${name}: ${path}`),
    );
    const built = /\/build\/|^test\/xen\/(cache|logs)/;
    assert.deepEqual(
      missing.filter((line) => !built.test(line) && !/: test\/xen\/(cache|logs)/.test(line)),
      [],
    );
  });

  it('show the version of the package in every name of a file', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const shown = DOCUMENTS.filter((name) => name !== 'CHANGELOG.md').flatMap((name) =>
      [...read(name).matchAll(/xen-blkback(?:-hotplug)?[_-](\d+\.\d+\.\d+)/g)].map(
        ([, found]) => `${relative('.', name)} ${found}`,
      ),
    );
    assert.ok(shown.length > 0);
    assert.deepEqual(
      shown.filter((line) => !line.endsWith(` ${version}`)),
      [],
    );
    assert.match(
      read('CHANGELOG.md'),
      new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\]`, 'm'),
    );
  });
});
