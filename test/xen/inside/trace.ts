import { readFileSync, writeFileSync } from 'node:fs';

const TRACING = '/sys/kernel/tracing';

/** What the kernel's thread for XenStore watches did, in seconds of CLOCK_MONOTONIC. */
export interface DriverEvent {
  readonly seconds: number;
  /** It has opened a block device, or begins to make the sysfs attribute physical_device. */
  readonly what: 'opened' | 'attribute';
}

/**
 * Has the kernel record when xen-blkback opens devices and when it makes the attribute that says so:
 * kprobes (Documentation/trace/kprobetrace.rst) on the two functions that it calls for that.
 */
export function startTrace(): void {
  writeFileSync(`${TRACING}/trace_clock`, 'mono');
  writeFileSync(`${TRACING}/kprobe_events`, `r:bed/opened ${openFunction()} result=$retval\n`);
  writeFileSync(
    `${TRACING}/kprobe_events`,
    'p:bed/attribute device_create_file name=+0(+0($arg2)):string\n',
    { flag: 'a' },
  );
  writeFileSync(`${TRACING}/events/bed/enable`, '1');
}

/** Returns the function by which xen-blkback opens a device. Since Linux 6.9 it gets a file. */
function openFunction(): string {
  const since6_9 = 'bdev_file_open_by_dev';
  return new RegExp(`\\b${since6_9}$`, 'm').test(readFileSync('/proc/kallsyms', 'utf8'))
    ? since6_9
    : 'blkdev_get_by_dev';
}

export function stopTrace(): DriverEvent[] {
  writeFileSync(`${TRACING}/events/bed/enable`, '0');
  const lines = readFileSync(`${TRACING}/trace`, 'utf8').split('\n');
  writeFileSync(`${TRACING}/kprobe_events`, '');
  return lines.flatMap((line): DriverEvent[] => {
    const match = /^\s*xenwatch-\d+ .* ([\d.]+): (opened|attribute): .* (?:result|name)=(.*)$/.exec(
      line,
    );
    if (match === null) return [];
    const seconds = Number(match[1]);
    // A pointer that is an error number lies in the last page.
    if (match[2] === 'opened') {
      return match[3]?.startsWith('0xfffffffffffff') ? [] : [{ seconds, what: 'opened' }];
    }
    return match[3] === '"physical_device"' ? [{ seconds, what: 'attribute' }] : [];
  });
}
