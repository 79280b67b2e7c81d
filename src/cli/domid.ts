import { quote } from '../util/one-line.js';
import { UsageError } from './usage-error.js';

/** Returns the number of a domain in an option, if the option is given. Throws `UsageError`. */
export function parseDomid(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^(0|[1-9]\d{0,4})$/.test(text)) return Number(text);
  throw new UsageError(`${option} ${quote(text)}: the number of a domain is needed`);
}
