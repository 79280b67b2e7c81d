import { takeActivatedSocket } from '../daemon/activation.js';
import { AttachTimes } from '../daemon/attach-times.js';
import { type ControlHandler, ControlSocket } from '../daemon/control-socket.js';
import { GuestStates } from '../daemon/guest-states.js';
import { limitHeapGrowth } from '../daemon/limit-heap-growth.js';
import { DaemonLog, Priority } from '../daemon/log.js';
import { Service } from '../daemon/service.js';
import { Statistics } from '../daemon/statistics.js';
import { Supervisor } from '../daemon/supervisor.js';
import { describeEvent, eventFields, isToldByEvent, type VbdEvent } from '../daemon/vbd-event.js';
import { startWatchdog } from '../daemon/watchdog.js';
import { errorCode, errorMessage } from '../errors.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { readSocketPath } from '../linux/listening-socket.js';
import { toOneLine } from '../util/one-line.js';
import { openXenstore } from '../xenstore/open.js';
import { followService } from './daemon-feed.js';
import { reporter } from './daemon-report.js';
import { exitAtOnce } from './exit.js';
import { statusOf } from './exit-status.js';
import { appendFailure, logFailure } from './log.js';
import { describeOldFile, readConfigFiles } from './read-config.js';
import { listScriptNames } from './script-names.js';
import { type GivenOptions, loadDaemonSettings, loadSettings } from './setting-sources.js';
import { DAEMON_SETTINGS, type DaemonSettings, type Settings } from './settings.js';

interface DaemonOptions extends DaemonSettings {
  readonly settings: Settings;
  /** A warning to log once, at the start. */
  readonly notice: string | undefined;
}

/** Runs `daemon` with the settings read at its start. Returns the exit status. */
export async function startDaemon(given: GivenOptions): Promise<number> {
  const files = readConfigFiles(process.env);
  const daemon = loadDaemonSettings(process.env, given, files);
  // Unless scripts are configured, the scripts that `divert` has replaced by ours count as well.
  const isUsual = daemon.scripts.join() === DAEMON_SETTINGS.scripts.fallback;
  return await runDaemon({
    settings: loadSettings(process.env, given, files),
    ...daemon,
    scripts: isUsual ? listScriptNames() : daemon.scripts,
    notice: describeOldFile(files),
  });
}

/** Runs the daemon until it gets SIGTERM or SIGINT. */
async function runDaemon(options: DaemonOptions): Promise<number> {
  limitHeapGrowth();
  // The reader of stderr may be gone. The daemon goes on without it.
  process.stderr.on('error', () => undefined);
  let log: DaemonLog;
  try {
    log = new DaemonLog({ file: options.output, environment: process.env });
  } catch (error) {
    process.stderr.write(`xen-blkback daemon: ${errorMessage(error)}\n`);
    return 1;
  }
  try {
    await serve(options, log);
    return 0;
  } catch (error) {
    log.write(Priority.error, errorMessage(error));
    return statusOf(error);
  } finally {
    await log.flush();
  }
}

async function serve(options: DaemonOptions, log: DaemonLog): Promise<void> {
  const { settings, notice } = options;
  if (notice !== undefined) log.write(Priority.warning, notice);
  const supervisor = new Supervisor(process.env, process.pid);
  const activated = takeActivatedSocket(process.env, process.pid);
  const passed = activated === undefined ? undefined : readSocketPath(activated);
  if (passed !== undefined && passed !== options.socket) {
    log.write(
      Priority.warning,
      `clients ask at ${options.socket}, and this daemon has been given the socket ${passed}: let ListenStream= of its unit and socket= in the configuration name the same one`,
    );
  }
  const place = activated === undefined ? options.socket : (passed ?? 'the socket that was passed');
  const statistics = new Statistics();
  const attachTimes = new AttachTimes();
  const states = new GuestStates((event) => feed.publish(event));
  const service: Service = new Service({
    scripts: options.scripts,
    all: options.all,
    onState: (vbd, state) => states.note(vbd, state),
    jobs: {
      ...settings,
      onEvent: (event) => {
        logEvent(log, event, settings.verbose);
        statistics.note(event);
        attachTimes.note(event);
        feed.publish(event);
        if (event.action === 'remove' || event.step === 'planned') states.forget(event.vbd);
      },
    },
    connect: (signal) =>
      openXenstore({ signal, requestTimeoutMs: Math.ceil(settings.timeoutMs / 3) }),
    onNotice: (text) => {
      log.write(Priority.warning, text);
      supervisor.status(text);
    },
    onReady: () => {
      statistics.connections++;
      log.write(Priority.info, `ready, at ${place}`);
      supervisor.ready('Serving the vbds of this domain');
    },
  });
  const feed = followService(service, settings.sysfs);
  const stop = handleSignals(log, supervisor);
  const handler = loggingHandler(service, settings.log, log);
  const report = reporter({ service, statistics, feed, attachTimes, sysfs: settings.sysfs });
  const onRefused = (reason: string): void =>
    log.write(Priority.warning, `a request at the control socket was refused: ${reason}`);
  const control = { handler, feed, report, onRefused, timeoutMs: settings.timeoutMs };
  await using _socket = await (activated === undefined
    ? ControlSocket.listen(options.socket, control)
    : ControlSocket.adopt(activated, control));
  using _watchdog =
    supervisor.watchdogMs === undefined
      ? undefined
      : startWatchdog({
          periodMs: supervisor.watchdogMs,
          check: (signal) => service.isWell(signal),
          onAlive: () => supervisor.alive(),
        });
  try {
    await service.run(stop);
  } finally {
    feed.end();
  }
}

/** The daemon ends within this time, so that a shutdown need not wait longer; milliseconds. */
const LONGEST_END_MS = 9500;

/**
 * Lets SIGTERM and SIGINT end the daemon even if a call hangs, and SIGHUP reopen the log. SIGUSR1 does
 * nothing: Node.js would start its debugger, to which every user of this machine can connect.
 */
function handleSignals(log: DaemonLog, supervisor: Supervisor): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.write(Priority.info, `${signal}: finishing`);
      supervisor.stopping('Finishing what is under way');
      stop.abort(new HotplugError('the daemon is being stopped', { code: 'ECANCELED' }));
      setTimeout(() => exitAtOnce(1), LONGEST_END_MS).unref();
    });
  }
  process.on('SIGUSR1', () => log.write(Priority.notice, 'SIGUSR1: it has no effect here'));
  process.on('SIGHUP', () => {
    void supervisor.reload(async () => {
      await log.reopen();
      log.write(Priority.info, 'SIGHUP: the log is open');
      await log.flush();
    });
  });
  return stop.signal;
}

const PRIORITIES: Partial<Record<VbdEvent['step'], number>> = {
  warned: Priority.warning,
  failed: Priority.error,
  attached: Priority.info,
  removed: Priority.info,
};

/** Logs an event. Results are always logged, and the steps before them only if `verbose` is set. */
function logEvent(log: DaemonLog, event: VbdEvent, verbose: boolean): void {
  // An attach that was aborted because its vbd went away is no error.
  const isCanceled = event.code === 'ECANCELED';
  const usual = PRIORITIES[event.step] ?? Priority.debug;
  const priority = isCanceled ? Priority.notice : usual;
  if (priority === Priority.debug && !verbose) return;
  log.write(priority, describeEvent(event), eventFields(event));
}

/** Returns a handler that logs a failure where administrators look for hotplug failures. */
function loggingHandler(service: Service, file: string, log: DaemonLog): ControlHandler {
  return async (request) => {
    try {
      await service.handle(request);
    } catch (error) {
      const line = `${toOneLine(request.path)}: ${toOneLine(errorMessage(error))}`;
      const code = errorCode(error) ?? 'EINTERNAL';
      // The client is not told about this failure. It does the work itself, and reports the result.
      if (code === 'EUNAVAILABLE') throw error;
      // The log has the event of a failed job. Other failures precede any job, or follow it.
      if (!isToldByEvent(error)) log.write(Priority.error, line, { XEN_BLKBACK_CODE: code });
      // The journal passes its lines on to syslog.
      if (!log.isJournal) await logFailure(file, line);
      else await appendFailure(file, line);
      throw error;
    }
  };
}
