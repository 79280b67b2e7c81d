import { askDaemon } from '../daemon/ask-daemon.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';
import { loadDaemonSettings } from './setting-sources.js';

/** How long the daemon may take to tell of an attach; milliseconds. */
const ANSWER_MS = 1000;

/** The program that has attached a vbd, as far as anybody knows. */
export interface Attacher {
  /**
   * `daemon`: the daemon that runs. `xen-blkback`: this program, but not that daemon. `other-script`:
   * a script that publishes no sequence number, such as Xen's own. `undefined`: no device is published.
   */
  readonly by: 'daemon' | 'xen-blkback' | 'other-script' | undefined;
  readonly daemon?: AttachmentAnswer | undefined;
}

/** The answer of a daemon to the question about an attach. */
export interface AttachmentAnswer {
  readonly daemon: string;
  readonly pid: number;
  readonly since: string;
  readonly attached: string | null;
  readonly diskseq: string | null;
}

/**
 * Finds out which program has attached a vbd. Neither a file nor a node records it. Only
 * the daemon remembers what it has attached itself, until it ends.
 */
export async function findAttacher(summary: VbdSummary): Promise<Attacher> {
  const { vbd, devnum, diskseq, nodesGone, isRemote } = summary;
  if (devnum === undefined || nodesGone || isRemote) return { by: undefined };
  if (diskseq === undefined) return { by: 'other-script' };
  const daemon = await askAbout(vbd.backend);
  const isIt = daemon?.attached !== null && daemon?.diskseq === String(diskseq);
  return { by: isIt ? 'daemon' : 'xen-blkback', daemon };
}

/** Asks the daemon. Returns `undefined` if none answers, or one of a version that cannot tell. */
async function askAbout(backend: string): Promise<AttachmentAnswer | undefined> {
  try {
    const { socket } = loadDaemonSettings(process.env);
    const options = { about: backend, timeoutMs: ANSWER_MS };
    return JSON.parse(await askDaemon(socket, 'attachment', options)) as AttachmentAnswer;
  } catch {
    return undefined;
  }
}

/** Returns the rows of the table of `show`, each with a name and a value. */
export function attacherRows({ by, daemon }: Attacher, script: string | undefined): string[][] {
  return [
    ['attached by', describe(by, daemon, script)],
    ['attached at', (by === 'daemon' && daemon?.attached) || '-'],
  ];
}

function describe(
  by: Attacher['by'],
  daemon: AttachmentAnswer | undefined,
  script: string | undefined,
): string {
  if (by === undefined) return '-';
  if (by === 'other-script') return `another script (${script ?? 'of no name'})`;
  if (daemon === undefined) {
    return 'xen-blkback: the one-shot program, or a daemon that does not answer';
  }
  if (by === 'daemon') return `the daemon, version ${daemon.daemon}, process ${daemon.pid}`;
  return `xen-blkback: the one-shot program, or a daemon that ended before ${daemon.since}`;
}

export function attacherToJson({ by, daemon }: Attacher): Record<string, unknown> {
  const own = by === 'daemon' ? daemon : undefined;
  return {
    'attached-by': by ?? null,
    'attached-at': own?.attached ?? null,
    'attached-version': own?.daemon ?? null,
    'attached-pid': own?.pid ?? null,
  };
}
