import { blockingCall } from './blocking-call.js';
import { isSystemError } from './errno.js';
import type { Mount } from './mounts.js';
import { placeOfMount } from './place.js';

/** Bytes of struct statfs. */
const STATFS_SIZE = 120;

/** The file systems that are being asked now, by the keys of their places. */
const asked = new Map<string, Promise<boolean>>();
/** The file systems that have not answered yet, although the time was up. */
const silent = new Set<string>();

/**
 * Tells whether a mounted file system answers within `patienceMs` milliseconds. This function asks
 * for the free space, which a server has to tell. Returns `false` at once while an earlier call to
 * the same file system has not come back. An error counts as an answer only if it comes from the
 * server.
 */
export async function doesMountAnswer(mount: Mount, patienceMs: number): Promise<boolean> {
  const { key } = placeOfMount(mount);
  if (silent.has(key)) return false;
  const underWay = asked.get(key);
  if (underWay !== undefined) return await underWay;
  const answer = ask(mount, key, patienceMs).finally(() => asked.delete(key));
  asked.set(key, answer);
  return await answer;
}

async function ask(mount: Mount, key: string, patienceMs: number): Promise<boolean> {
  const signal = AbortSignal.timeout(patienceMs);
  try {
    await blockingCall({
      call: 'statfs',
      args: [mount.directory, Buffer.alloc(STATFS_SIZE)],
      object: mount.directory,
      signal,
      uses: [],
      place: () => placeOfMount(mount),
      onAbandoned: (cameBack) => {
        silent.add(key);
        void cameBack.then(() => silent.delete(key));
      },
    });
    return true;
  } catch (error) {
    if (error === signal.reason) return false;
    return !isSystemError(error, ...NO_SERVER);
  }
}

/** The errors for a server that is not there, and for calls that would wait for it (`EHUNG`). */
const NO_SERVER = [
  ...['EHUNG', 'EIO', 'ENOTCONN', 'ECONNABORTED', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTDOWN'],
  ...['EHOSTUNREACH', 'ENETDOWN', 'ENETUNREACH', 'ESTALE', 'ETIMEDOUT', 'EREMOTEIO', 'ESHUTDOWN'],
];
