import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Runs a program and returns its stdout. Throws an error with all output if the program fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, {
      ...options,
      maxBuffer: 2 ** 26,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')} has failed\n${stdout}${stderr}`, {
      cause: error,
    });
  }
}

/** Tells whether a command exists. */
export async function hasCommand(command: string): Promise<boolean> {
  return await promisify(execFile)('sh', ['-c', 'command -v -- "$1"', 'sh', command]).then(
    () => true,
    () => false,
  );
}
