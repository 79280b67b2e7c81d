import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The text of an attribute in sysfs; empty where there is none, or not any more. */
export function readAttributeText(directory: string, name: string): string {
  const file = join(directory, name);
  // The exception would cost more than the question.
  if (!existsSync(file)) return '';
  try {
    return readFileSync(file, 'latin1').trimEnd();
  } catch {
    return '';
  }
}
