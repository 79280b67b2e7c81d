import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Returns the time of all files in a package, in seconds since 1970: `SOURCE_DATE_EPOCH`, or else
 * the time of the last commit. So two builds of one source are equal. Throws if there is neither.
 */
export async function sourceDate(project: string, environment: NodeJS.ProcessEnv): Promise<number> {
  const text = environment.SOURCE_DATE_EPOCH ?? (await lastCommit(project));
  if (/^\d{1,11}$/.test(text)) return Number(text);
  throw new Error(
    `SOURCE_DATE_EPOCH is ${JSON.stringify(text)}: seconds since 1970 are needed, and outside of a git checkout it has to be set`,
  );
}

async function lastCommit(project: string): Promise<string> {
  const args = ['-C', project, 'log', '-1', '--format=%ct'];
  return await promisify(execFile)('git', args).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}
