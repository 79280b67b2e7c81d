import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onDirectoryEvent } from '../deadline.js';
import { LINUX } from '../needs.js';
import { built, projectRoot } from '../paths.js';
import { eventsFile, type InnerEvent, type Job, jobFile } from './job.js';

const MEMORY_MIB = 1024;
/** The longest time for boot and start of mocha, which take 3 s on an idle machine. */
const START_MS = 60_000;
/** The time that a test or hook may exceed its own timeout by, on a busy machine. */
const GRACE_MS = 20_000;
const END_MS = 20_000;
const CONSOLE_TAIL = 8000;

/** Options of `boot`. */
export interface BootOptions {
  /** Called with the text of the console as it comes. */
  readonly onConsole?: (text: string) => void;
  /** How much longer than its own timeout a test may take, instead of 20 s. */
  readonly graceMs?: number;
  /** Runs the machine with low priority on the last CPU. */
  readonly background?: boolean;
}

/** A User-Mode Linux that runs test files. It is killed if nothing happens for too long. */
export interface Boot extends AsyncDisposable {
  /** Yields events as they come. Throws if the machine ends before the tests have ended. */
  events(): AsyncGenerator<InnerEvent>;
  /** The directory shared with the host, removed with the machine. Its processes name it. */
  readonly directory: string;
  /** Returns the end of the text that the kernel and the tests have printed. */
  console(): string;
  /** Kills the machine at once. */
  kill(): void;
}

/**
 * Boots User-Mode Linux for a job. Its root is the file system of this machine, read-only.
 * Everything that it writes goes to its own memory. The kernel kills it if this process dies.
 */
export function boot(job: Job, options: BootOptions = {}): Boot {
  const directory = mkdtempSync(join(tmpdir(), 'uml-'));
  writeFileSync(jobFile(directory), JSON.stringify(job));
  writeFileSync(eventsFile(directory), '');
  const child = spawn(
    'taskset',
    [
      // Each system call inside switches twice between processes. One CPU makes this faster by a
      // third.
      ...[
        '--cpu-list',
        String(nextCpu(options)),
        'nice',
        '--adjustment',
        options.background ? '10' : '0',
      ],
      'setpriv',
      // The process namespace ends helper processes, which would otherwise outlive a killed
      // linux.uml.
      ...['--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child', LINUX],
      ...[`mem=${MEMORY_MIB}M`, 'rootfstype=hostfs', 'ro', 'quiet', 'panic=-1'],
      ...['con=null', 'con0=null,fd:1', 'con1=null', `uml_dir=${directory}/`],
      `init=${join(projectRoot, 'test/bed/uml/init.sh')}`,
      ...[`uml_job=${directory}`, `uml_node=${process.execPath}`],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        TMPDIR: placeForMemory(),
        LD_PRELOAD: built('uml-xstate.so'),
      },
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

/** Waits for events from number `from` on. Returns none at the end of the machine or after `ms`. */
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

/** Returns the CPUs of this process in turn, or always the last one for a background machine. */
function nextCpu({ background }: BootOptions): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '0';
  const cpus = list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return (background ? cpus.at(-1) : cpus[boots++ % cpus.length]) ?? 0;
}

/**
 * Returns a directory for the file in which linux.uml keeps its memory and which it maps
 * executable.
 */
function placeForMemory(): string {
  const shm = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, place]) => place === '/dev/shm');
  if (shm === undefined || shm[3]?.split(',').includes('noexec')) return tmpdir();
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize > 2 * MEMORY_MIB * 1024 * 1024 ? '/dev/shm' : tmpdir();
}
