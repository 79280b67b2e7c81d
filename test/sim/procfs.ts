import type { SimulatedProcess } from './process.js';
import type { Found } from './resolve.js';

// Which processes there are, and what they have open. Device-mapper counts the openers of a device,
// so the program looks for those that can be seen, as does gc. Other schedules do without: a walk
// through all processes takes more time than everything else there.

const O_PATH = 0o10000000;
const PLACE = /^\/proc\/(self|\d+)\/(?:(comm|cmdline)|(fd|fdinfo)(?:\/(\d+))?)$/;

/** Looks up what one of the processes shows of itself. Returns `undefined` if there is nothing. */
export function lookUpProc(process: SimulatedProcess, path: string): Found | undefined {
  if (!path.startsWith('/proc/')) return undefined;
  const [, pid = '', text, kind, fd] = PLACE.exec(path) ?? [];
  const other = findProcess(process, pid);
  if (other === undefined) return undefined;
  if (text === 'comm') return { text: `${other.command[0]?.split('/').at(-1)}\n` };
  if (text === 'cmdline') {
    const words = other.command.map((word) => `${word}\0`).join('');
    return { node: { kind: 'text', path, ino: 6n, text: words } };
  }
  const file = fd === undefined ? undefined : other.fds.get(Number(fd));
  if (file === undefined) return undefined;
  if (kind === 'fd') return { node: file.node };
  const flags = file.isPath ? O_PATH.toString(8) : '0';
  return { text: `pos:\t0\nflags:\t${flags}\nmnt_id:\t1\n` };
}

/** Lists the processes, or the descriptors of one. Returns `undefined` for other directories. */
export function listProc(process: SimulatedProcess, path: string): string[] | undefined {
  const { kernel, processes } = process.world;
  if (!kernel.showsProcesses || !path.startsWith('/proc')) return undefined;
  if (path === '/proc') return [...processes].map(({ pid }) => String(pid));
  const [, pid = '', , kind, fd] = PLACE.exec(path) ?? [];
  if (kind !== 'fd' || fd !== undefined) return undefined;
  const fds = findProcess(process, pid)?.fds.keys();
  return fds && [...fds].map(String);
}

function findProcess(process: SimulatedProcess, pid: string): SimulatedProcess | undefined {
  if (pid === 'self') return process;
  return [...process.world.processes].find((one) => String(one.pid) === pid);
}
