import assert from 'node:assert/strict';
import { join } from 'node:path';
import * as library from '../../../src/index.js';
import { projectRoot } from '../../bed/paths.js';
import { Declarations } from '../../docs/declarations.js';

describe('what the library exports', () => {
  const declarations = new Declarations(join(projectRoot, 'dist/src'));
  const exported = declarations.exportsOf('index');

  it('is what its declarations say', () => {
    const values = exported.filter(({ isType }) => !isType).map(({ name }) => name);
    assert.deepEqual(values.sort(), Object.keys(library).sort());
  });

  it('has every type that a signature mentions', () => {
    const names = new Set(exported.map(({ name }) => name));
    const missing = exported.flatMap((declaration) =>
      declarations
        .mentionedBy(declaration)
        .filter((mentioned) => !names.has(mentioned))
        .map((mentioned) => `${mentioned}, by ${declaration.name}`),
    );
    assert.deepEqual(missing, []);
  });

  it('is described, each name by a comment of its own', () => {
    const silent = exported.filter(({ text }) => !text.startsWith('/**')).map(({ name }) => name);
    assert.deepEqual(silent, []);
  });
});
