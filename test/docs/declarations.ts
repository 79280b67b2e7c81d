import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** A name that the library exports, as its declaration files have it. */
export interface Declaration {
  readonly name: string;
  /** The whole declaration, its comment included. */
  readonly text: string;
  /** The same without comments. */
  readonly code: string;
  /** Below the directory of declarations, without suffix. */
  readonly file: string;
  readonly isType: boolean;
}

interface File {
  /** Declared names with the text of their declarations. */
  readonly declared: ReadonlyMap<string, string>;
  /** Names that come from other files: where from, and as what. */
  readonly imported: ReadonlyMap<string, Origin>;
  readonly exported: ReadonlyMap<string, Origin>;
  /** Files all of whose names are exported. */
  readonly all: readonly string[];
}

interface Origin {
  readonly file: string;
  readonly name: string;
}

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
const START =
  /^(?:\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?(export )?(?:declare )?(?:abstract )?(?:(?:async )?function\*?|class|interface|type|const) (\w+)/gm;

/** Reads declaration files, as the compiler writes them. */
export class Declarations {
  readonly #directory: string;
  readonly #files = new Map<string, File>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Everything that a file exports, in the order of the names. */
  exportsOf(file: string): Declaration[] {
    const { exported, all, declared } = this.#read(file);
    const own = [...declared.keys()].map((name): [string, Origin] => [name, { file, name }]);
    const passed = all.flatMap((from) =>
      [...this.#read(from).declared.keys()].map((name): [string, Origin] => [
        name,
        { file: from, name },
      ]),
    );
    const names = new Map([...passed, ...exported, ...(exported.size > 0 ? [] : own)]);
    return [...names]
      .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
      .map(([name, origin]) => this.#declaration(name, origin));
  }

  /** The names, of this file or imported into it, that a declaration mentions. */
  mentionedBy({ code, file, name }: Declaration): string[] {
    const { declared, imported } = this.#read(file);
    const words = new Set(code.replace(/'[^']*'/g, '').match(/\b[A-Za-z_]\w*\b/g));
    return [...words].filter((word) => word !== name && (declared.has(word) || imported.has(word)));
  }

  #declaration(name: string, origin: Origin): Declaration {
    const { declared, exported, imported } = this.#read(origin.file);
    const text = declared.get(origin.name);
    if (text === undefined) {
      const further = exported.get(origin.name) ?? imported.get(origin.name);
      if (further === undefined) throw new Error(`${origin.file} declares no ${origin.name}`);
      return this.#declaration(name, further);
    }
    const code = text.replace(COMMENT, '');
    const isType = /^\s*export (declare )?(interface|type) /.test(code);
    return { name, text, code, file: origin.file, isType };
  }

  #read(file: string): File {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    const path = join(this.#directory, `${file}.d.ts`);
    if (!existsSync(path)) throw new Error(`there is no ${path}`);
    const read = parse(file, readFileSync(path, 'utf8'));
    this.#files.set(file, read);
    return read;
  }
}

function parse(file: string, text: string): File {
  const resolve = (target: string): string =>
    normalize(join(dirname(file), target)).replace(/\.js$/, '');
  const names = (list: string, from: string): [string, Origin][] =>
    list
      .split(',')
      .map((part) => part.trim().replace(/^type /, ''))
      .filter((part) => part !== '')
      .map((part) => {
        const [name = '', as = name] = part.split(' as ');
        return [as, { file: resolve(from), name }];
      });
  const clauses = (keyword: string): Map<string, Origin> => {
    const pattern = new RegExp(`^${keyword} (?:type )?\\{([^}]*)\\} from '([^']+)';`, 'gm');
    return new Map(
      [...text.matchAll(pattern)].flatMap(([, list = '', from = '']) => names(list, from)),
    );
  };
  const starts = [...text.matchAll(START)];
  const declared = new Map<string, string>();
  for (const [index, start] of starts.entries()) {
    const end = starts[index + 1]?.index ?? text.length;
    const [, , name = ''] = start;
    const chunk = text
      .slice(start.index, end)
      .replace(/^(import|export) .*from '.*';\n|^export \{\};\n/gm, '');
    declared.set(name, `${declared.get(name) ?? ''}${chunk}`);
  }
  const all = [...text.matchAll(/^export (?:type )?\* from '([^']+)';/gm)].map(([, from = '']) =>
    resolve(from),
  );
  return { declared, imported: clauses('import'), exported: clauses('export'), all };
}
