import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Returns the values of C expressions. The C compiler takes them from the kernel's own headers. */
export function evaluateC(headers: readonly string[], expressions: readonly string[]): bigint[] {
  const directory = mkdtempSync(join(tmpdir(), 'headers-'));
  try {
    const source = [
      '#include <stdio.h>',
      '#include <stddef.h>',
      ...headers.map((header) => `#include <${header}>`),
      'int main(void) {',
      ...expressions.map((text) => `  printf("%llu\\n", (unsigned long long)(${text}));`),
      '}',
    ];
    const file = join(directory, 'print.c');
    writeFileSync(file, source.join('\n'));
    execFileSync('cc', ['-o', join(directory, 'print'), file], { stdio: 'pipe' });
    const output = execFileSync(join(directory, 'print'), { encoding: 'utf8' });
    return output.trim().split('\n').map(BigInt);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
