import { ControlSocket } from '../daemon/control-socket.js';
import type { ControlRequest } from '../daemon/protocol.js';
import { Service } from '../daemon/service.js';
import { errorMessage } from '../errors.js';
import { HotplugError, toOneLine } from '../hotplug/hotplug-error.js';
import { openXenstore } from '../xenstore/native.js';
import { logFailure } from './log.js';
import type { Settings } from './settings.js';

export interface DaemonOptions {
  readonly settings: Settings;
  readonly socket: string;
  readonly scripts: readonly string[];
  readonly all: boolean;
  readonly verbose: boolean;
}

/** `daemon`: runs until it gets SIGTERM or SIGINT; returns the exit status. */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const { settings } = options;
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      say(`${signal}: finishing`);
      stop.abort(new HotplugError('the daemon is being stopped', { code: 'ECANCELED' }));
    });
  }
  // Its output is the journal's to keep: there is no file to be opened again.
  process.on('SIGHUP', () => undefined);
  const service = new Service({
    scripts: options.scripts,
    all: options.all,
    jobs: {
      ...settings,
      onStep: options.verbose
        ? (vbd, step, detail) => say(`${vbd.domid}/${vbd.devid}: ${step}: ${detail}`)
        : undefined,
    },
    connect: (signal) =>
      openXenstore({ signal, requestTimeoutMs: Math.ceil(settings.timeoutMs / 3) }),
    onNotice: say,
    onReady: () => say(`ready, at ${options.socket}`),
  });
  const handle = async (request: ControlRequest): Promise<void> => {
    try {
      await service.handle(request);
    } catch (error) {
      const message = toOneLine(errorMessage(error));
      await logFailure(settings.log, `${toOneLine(request.path)}: ${message}`);
      throw error;
    }
  };
  try {
    await using _socket = await ControlSocket.listen(options.socket, handle);
    await service.run(stop.signal);
    return 0;
  } catch (error) {
    say(errorMessage(error));
    return 1;
  }
}

function say(text: string): void {
  process.stderr.write(`xen-blkback daemon: ${toOneLine(text)}\n`);
}
