import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onDirectoryEvent } from '../deadline.js';
import { LINUX } from '../needs.js';
import { projectRoot } from '../paths.js';
import { eventsFile, type InnerEvent, type Job, jobFile } from './job.js';

const MEMORY_MIB = 1024;
/** Boot, and start of mocha: 3 s on an idle machine. */
const START_MS = 60_000;
/** Beyond the time that a test or hook has by itself, for a machine that is busy. */
const GRACE_MS = 20_000;
const END_MS = 20_000;
const CONSOLE_TAIL = 8000;

export interface BootOptions {
  /** Shown as it comes. */
  readonly onConsole?: (text: string) => void;
  /** Instead of 20 s: how much longer than its own timeout a test may take. */
  readonly graceMs?: number;
  /** It gives way to everything else, on the last CPU. */
  readonly background?: boolean;
}

/** A User-Mode Linux that runs test files. It is killed when nothing has happened for too long. */
export interface Boot extends AsyncDisposable {
  /** Events as they come; ends with the machine. Throws if that was before the tests had ended. */
  events(): AsyncGenerator<InnerEvent>;
  /** Shared with the host; gone when the machine is disposed. In the arguments of its processes. */
  readonly directory: string;
  /** What the kernel and the tests have printed, the end of it. */
  console(): string;
  /** Ends it at once. */
  kill(): void;
}

/**
 * Boots User-Mode Linux for a job. Its root is this machine's file system, read-only; what is written
 * goes to its own memory. It is killed by the kernel, should this process die.
 */
export function boot(job: Job, options: BootOptions = {}): Boot {
  const directory = mkdtempSync(join(tmpdir(), 'uml-'));
  writeFileSync(jobFile(directory), JSON.stringify(job));
  writeFileSync(eventsFile(directory), '');
  const child = spawn(
    'taskset',
    [
      // Each of its system calls is two switches between processes: faster by a third on one CPU.
      ...[
        '--cpu-list',
        String(nextCpu(options)),
        'nice',
        '--adjustment',
        options.background ? '10' : '0',
      ],
      'setpriv',
      // A process namespace, because helper processes of linux.uml outlive it when it is killed.
      ...['--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child', LINUX],
      ...[`mem=${MEMORY_MIB}M`, 'rootfstype=hostfs', 'ro', 'quiet', 'panic=-1'],
      ...['con=null', 'con0=null,fd:1', 'con1=null', `uml_dir=${directory}/`],
      `init=${join(projectRoot, 'test/bed/uml/init.sh')}`,
      ...[`uml_job=${directory}`, `uml_node=${process.execPath}`],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, TMPDIR: placeForMemory() },
    },
  );
  let text = '';
  const onText = (chunk: string) => {
    const more = chunk.replaceAll('\r', '');
    options.onConsole?.(more);
    text = (text + more).slice(-CONSOLE_TAIL);
  };
  child.stdout.setEncoding('utf8').on('data', onText);
  child.stderr.setEncoding('utf8').on('data', onText);
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const gone = new AbortController();
  const closed = once(child, 'close').finally(() => gone.abort());
  closed.catch(() => {});

  async function* events(): AsyncGenerator<InnerEvent> {
    let seen = 0;
    let patience = START_MS;
    let doing = 'booting';
    for (;;) {
      const fresh = await news(directory, seen, patience, gone.signal);
      for (const event of fresh) {
        seen++;
        yield event;
        if (event.event === 'ended') return;
        if (event.event === 'begins') {
          doing = event.title;
          patience =
            event.timeoutMs === 0 ? Infinity : event.timeoutMs + (options.graceMs ?? GRACE_MS);
        }
      }
      if (fresh.length > 0) continue;
      const how = gone.signal.aborted ? 'ended' : `was silent for ${patience} ms and was killed`;
      child.kill('SIGKILL');
      const reason = failure === undefined ? '' : ` (${failure.message})`;
      throw new Error(
        `User-Mode Linux ${how}${reason} while: ${doing}. Its console:\n${text.trim()}`,
      );
    }
  }

  return {
    events,
    directory,
    console: () => text,
    kill: () => void child.kill('SIGKILL'),
    async [Symbol.asyncDispose]() {
      const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
      await closed.catch(() => {});
      clearTimeout(late);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The events from the given one on, as soon as there are any; none at the end or after `ms`. */
async function news(
  directory: string,
  from: number,
  ms: number,
  gone: AbortSignal,
): Promise<InnerEvent[]> {
  const read = () => {
    const lines = readFileSync(eventsFile(directory), 'utf8').split('\n').slice(from, -1);
    return lines.length === 0 ? undefined : lines.map((line) => JSON.parse(line) as InnerEvent);
  };
  const signals = ms === Infinity ? [gone] : [gone, AbortSignal.timeout(ms)];
  try {
    return await onDirectoryEvent(directory, AbortSignal.any(signals), read);
  } catch (error) {
    if (!signals.some((signal) => signal.aborted)) throw error;
    return read() ?? [];
  }
}

let boots = 0;

/** The CPUs that this process may use in turn; always the last of them for machines in the background. */
function nextCpu({ background }: BootOptions): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '0';
  const cpus = list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return (background ? cpus.at(-1) : cpus[boots++ % cpus.length]) ?? 0;
}

/** linux.uml keeps its memory in a file that it maps, also executable: best one in memory. */
function placeForMemory(): string {
  const shm = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, place]) => place === '/dev/shm');
  if (shm === undefined || shm[3]?.split(',').includes('noexec')) return tmpdir();
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize > 2 * MEMORY_MIB * 1024 * 1024 ? '/dev/shm' : tmpdir();
}
