import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Blkback, type BlkbackBehaviour, startBlkback } from './blkback.js';
import { CliStore } from './cli-store.js';
import { temporaryDirectory } from './paths.js';
import { startXenstored, type Xenstored } from './xenstored.js';

/** The parts of Xen that one test needs: a store, a driver, and directories, all private. */
export interface Bed extends AsyncDisposable {
  readonly xenstored: Xenstored;
  /** The running blkback. `restartBlkback()` replaces it. */
  readonly blkback: Blkback;
  /** A client of the store that uses Xen's own command line tools. */
  readonly tools: CliStore;
  /** The directory that contains all files of the bed. */
  readonly directory: string;
  /** The directory for image files. `loopsOf(images)` lists the loop devices that are left. */
  readonly images: string;
  /** The directory for the project's state files. */
  readonly runDirectory: string;
  /** The file for the project's log. */
  readonly logFile: string;
  /** The environment for every program that is to use this bed. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends blkback, which closes all devices, and starts it again with another behaviour. */
  restartBlkback(behaviour?: BlkbackBehaviour): Promise<Blkback>;
}

/** Starts a bed. Disposing of the bed ends its parts in reverse order. */
export async function startBed(
  behaviour: BlkbackBehaviour = {},
  options: { readonly trace?: boolean } = {},
): Promise<Bed> {
  const directory = temporaryDirectory();
  const paths = {
    images: join(directory, 'images'),
    runDirectory: join(directory, 'run'),
    logs: join(directory, 'log'),
    blkback: join(directory, 'blkback'),
  };
  for (const path of Object.values(paths)) mkdirSync(path);
  const removeDirectory = () => rmSync(directory, { recursive: true, force: true });
  const xenstored = await startXenstored({
    ...options,
    directory: join(directory, 'xenstored'),
  }).catch((error: unknown) => {
    removeDirectory();
    throw error;
  });
  const launch = (how: BlkbackBehaviour) =>
    startBlkback(xenstored, { ...how, directory: paths.blkback });
  let blkback = await launch(behaviour).catch(async (error: unknown) => {
    await xenstored.stop();
    removeDirectory();
    throw error;
  });
  const logFile = join(paths.logs, 'xen-hotplug.log');
  return {
    xenstored,
    get blkback() {
      return blkback;
    },
    tools: new CliStore(xenstored.env),
    directory,
    images: paths.images,
    runDirectory: paths.runDirectory,
    logFile,
    env: {
      ...xenstored.env,
      XEN_BLKBACK_SYSFS: blkback.sysfs,
      XEN_BLKBACK_RUN_DIR: paths.runDirectory,
      XEN_BLKBACK_LOG: logFile,
    },
    async restartBlkback(how = behaviour) {
      await blkback.stop();
      blkback = await launch(how);
      return blkback;
    },
    async [Symbol.asyncDispose]() {
      await blkback.stop();
      await xenstored.stop();
      removeDirectory();
    },
  };
}
