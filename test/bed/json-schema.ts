import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './paths.js';

/** The part of JSON Schema that docs/json.schema.json uses. */
interface Schema {
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly type?: string | readonly string[];
  readonly pattern?: string;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

const document = JSON.parse(readFileSync(join(projectRoot, 'docs/json.schema.json'), 'utf8')) as {
  readonly $defs: Readonly<Record<string, Schema>>;
};

/** The names of all definitions. */
export const SCHEMA_NAMES: readonly string[] = Object.keys(document.$defs);

/** Fails unless a text is one object that fits a definition of the schema. Returns the object. */
export function assertSchema(name: string, text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  assert.deepEqual(mistakes({ $ref: `#/$defs/${name}` }, value, '$'), [], text);
  return value as Record<string, unknown>;
}

/** Returns a sentence for each part of a value that does not fit a schema. */
export function mistakes(schema: Schema, value: unknown, at: string): string[] {
  if (schema.$ref !== undefined) {
    const target = document.$defs[schema.$ref.replace('#/$defs/', '')];
    assert.ok(target, `${schema.$ref} does not exist`);
    return mistakes(target, value, at);
  }
  if (schema.anyOf !== undefined) {
    const all = schema.anyOf.map((one) => mistakes(one, value, at));
    return all.some((list) => list.length === 0) ? [] : all.flat();
  }
  const found: string[] = [];
  if ('const' in schema && value !== schema.const) found.push(`${at} is not ${schema.const}`);
  if (schema.enum?.includes(value) === false) found.push(`${at} is ${value}`);
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOfType(type, value))) {
    return [...found, `${at} is no ${types.join(' or ')}`];
  }
  if (typeof value === 'string' && schema.pattern && !new RegExp(schema.pattern).test(value)) {
    found.push(`${at} does not match ${schema.pattern}`);
  }
  if (Array.isArray(value)) {
    const { items = {} } = schema;
    return [...found, ...value.flatMap((item, index) => mistakes(items, item, `${at}[${index}]`))];
  }
  if (typeof value !== 'object' || value === null) return found;
  for (const name of schema.required ?? []) if (!(name in value)) found.push(`${at}.${name} lacks`);
  for (const [name, part] of Object.entries(value)) {
    const rule = schema.properties?.[name] ?? schema.additionalProperties ?? true;
    if (rule === false) found.push(`${at}.${name} is not in the schema`);
    else if (rule !== true) found.push(...mistakes(rule, part, `${at}.${name}`));
  }
  return found;
}

function isOfType(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object')
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}
