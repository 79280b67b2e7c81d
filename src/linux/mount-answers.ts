import { blockingCall } from './blocking.js';
import { isSystemError } from './errno.js';
import type { Mount } from './mounts.js';
import { placeOfMount } from './place.js';

/** Bytes of struct statfs. */
const STATFS_SIZE = 120;

/** File systems that are being asked, by their number. */
const asked = new Map<string, Promise<boolean>>();
/** Those that have not answered yet, although the time was up. */
const silent = new Set<string>();

/**
 * Whether a mounted file system answers within some milliseconds: it is asked for its free space, which
 * a server has to tell. It answers at once for one that has not come back from an earlier call yet. An
 * error is an answer only if the server is there to give it.
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
      gaveUp: (cameBack) => {
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

/** What is said of a server that is not there, or of calls that would wait for it (`EHUNG`). */
const NO_SERVER = [
  ...['EHUNG', 'EIO', 'ENOTCONN', 'ECONNABORTED', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTDOWN'],
  ...['EHOSTUNREACH', 'ENETDOWN', 'ENETUNREACH', 'ESTALE', 'ETIMEDOUT', 'EREMOTEIO', 'ESHUTDOWN'],
];
