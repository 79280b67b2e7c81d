import { sendDatagram } from '../linux/datagram.js';

/**
 * The service manager that has started this process. Messages go to it by the protocol of
 * sd_notify(3). Without a service manager, nothing is sent.
 */
export class Supervisor {
  readonly #address: string | undefined;
  /** The service manager's watchdog period; milliseconds. `undefined` if it has no watchdog. */
  readonly watchdogMs: number | undefined;
  #isReady = false;

  constructor(environment: NodeJS.ProcessEnv, pid: number) {
    this.#address = environment.NOTIFY_SOCKET || undefined;
    this.watchdogMs = this.#address === undefined ? undefined : readWatchdog(environment, pid);
  }

  /** Reports that every existing vbd has been looked at. */
  ready(status: string): void {
    this.#isReady = true;
    this.#send('READY=1', `STATUS=${status}`);
  }

  /** Reports a sentence that the service manager shows as the condition of the daemon. */
  status(status: string): void {
    this.#send(`STATUS=${status}`);
  }

  /**
   * Runs `body`, which does what SIGHUP asks for, and reports its begin and end. Reports neither if
   * the process is not ready yet, because the report of the end would also say that it is ready.
   */
  async reload(body: () => Promise<void>): Promise<void> {
    // The time identifies this reload for managers that wait for its end.
    const microseconds = process.hrtime.bigint() / 1000n;
    const isReported = this.#isReady;
    if (isReported) this.#send('RELOADING=1', `MONOTONIC_USEC=${microseconds}`);
    await body();
    if (isReported) this.#send('READY=1');
  }

  /** Reports that the daemon is about to end. */
  stopping(status: string): void {
    this.#send('STOPPING=1', `STATUS=${status}`);
  }

  /** Reports that all is well. */
  alive(): void {
    this.#send('WATCHDOG=1');
  }

  #send(...lines: string[]): void {
    if (this.#address === undefined) return;
    const text = lines.map((line) => line.replaceAll('\n', ' ')).join('\n');
    sendDatagram(this.#address, Buffer.from(text));
  }
}

/** Returns the watchdog period in milliseconds, read as sd_watchdog_enabled(3) does. */
function readWatchdog(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: period = '', WATCHDOG_PID: whose = '' } = environment;
  if (!/^[1-9]\d{0,15}$/.test(period)) return undefined;
  if (whose !== '' && whose !== String(pid)) return undefined;
  return Number(period) / 1000;
}
