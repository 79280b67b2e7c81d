import { sendDatagram } from '../linux/datagram.js';

/**
 * The service manager that has started this process, by the protocol of sd_notify(3); where none has,
 * nobody is told anything.
 */
export class Supervisor {
  readonly #address: string | undefined;
  /** How often it wants to hear that all is well; milliseconds. `undefined`: never. */
  readonly watchdogMs: number | undefined;
  #isReady = false;

  constructor(environment: NodeJS.ProcessEnv, pid: number) {
    this.#address = environment.NOTIFY_SOCKET || undefined;
    this.watchdogMs = this.#address === undefined ? undefined : readWatchdog(environment, pid);
  }

  /** Stock has been taken. */
  ready(status: string): void {
    this.#isReady = true;
    this.#send('READY=1', `STATUS=${status}`);
  }

  status(status: string): void {
    this.#send(`STATUS=${status}`);
  }

  /** Does what was asked for with SIGHUP; a process that is not ready yet is no readier after it. */
  async reload(body: () => Promise<void>): Promise<void> {
    // Which reload it is, for managers that wait for its end.
    const microseconds = process.hrtime.bigint() / 1000n;
    const isToldOf = this.#isReady;
    if (isToldOf) this.#send('RELOADING=1', `MONOTONIC_USEC=${microseconds}`);
    await body();
    if (isToldOf) this.#send('READY=1');
  }

  stopping(status: string): void {
    this.#send('STOPPING=1', `STATUS=${status}`);
  }

  /** All is well. */
  alive(): void {
    this.#send('WATCHDOG=1');
  }

  #send(...lines: string[]): void {
    if (this.#address === undefined) return;
    const text = lines.map((line) => line.replaceAll('\n', ' ')).join('\n');
    sendDatagram(this.#address, Buffer.from(text));
  }
}

/** As sd_watchdog_enabled(3) reads it. */
function readWatchdog(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: period = '', WATCHDOG_PID: whose = '' } = environment;
  if (!/^[1-9]\d{0,15}$/.test(period)) return undefined;
  if (whose !== '' && whose !== String(pid)) return undefined;
  return Number(period) / 1000;
}
