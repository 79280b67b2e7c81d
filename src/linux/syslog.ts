import { sendDatagram } from './datagram.js';

/** The socket of syslog(3). With systemd, it leads to the journal. */
const SOCKET = '/dev/log';
const LOG_DAEMON = 3 << 3;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/**
 * Hands one line to the syslog daemon with the facility daemon and a priority of syslog.h
 * (`LOG_ERR` is 3). Unlike syslog(3), this function never waits. The line is dropped if there is no
 * daemon, or if the daemon does not read.
 */
export function syslog(priority: number, text: string): void {
  sendDatagram(SOCKET, Buffer.from(syslogLine(priority, text, new Date())));
}

/** Formats a line as syslog(3) sends it: priority, local time, name and process id. */
export function syslogLine(priority: number, text: string, time: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const date = `${MONTHS[time.getMonth()]} ${String(time.getDate()).padStart(2)}`;
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  return `<${LOG_DAEMON | priority}>${date} ${clock} xen-blkback[${process.pid}]: ${text}`;
}
