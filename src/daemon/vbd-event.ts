import { BlkbackError, errorCode, errorMessage } from '../errors.js';
import type { AttachResult, AttachStep, StepDevice } from '../hotplug/attach.js';
import type { DetachStep } from '../hotplug/detach.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * One step of the attach or detach of one vbd. The last step of an add is `attached` or `failed`.
 * The last step of a remove is `removed` or `failed`.
 */
export interface VbdEvent {
  readonly time: Date;
  readonly vbd: VbdPath;
  readonly action: 'add' | 'remove';
  readonly step: AttachStep | DetachStep | 'warned' | 'attached' | 'failed';
  /** For people; one line. */
  readonly detail: string;
  /** The target that the vbd was to get. */
  readonly target?: string | undefined;
  /** A path of the device. It is certain from the step `opened` on, and left out before. */
  readonly device?: string | undefined;
  readonly diskseq?: bigint | undefined;
  /** The stable code of a failure. */
  readonly code?: string | undefined;
  readonly errno?: number | undefined;
}

/**
 * An event for readers: a step, something that a guest does on its own between an attach and a
 * detach, or the present condition of a vbd.
 */
export interface FeedEvent extends Omit<VbdEvent, 'action' | 'step'> {
  readonly action: VbdEvent['action'] | 'guest' | 'snapshot';
  readonly step: string;
  /** The xenbus state of the backend, as a digit. */
  readonly state?: string | undefined;
}

/** A function that is called with each event when it happens. */
export type VbdListener = (event: VbdEvent) => void;

/** The errors of which an event has told already. */
const told = new WeakSet<Error>();

/** Tells whether an event has told of this very error, so that it must not be logged once more. */
export function isToldByEvent(error: unknown): boolean {
  return error instanceof Error && told.has(error);
}

/** The steps of one attach or detach. It turns each step into an event for `listener`. */
export class VbdSteps {
  readonly #vbd: VbdPath;
  readonly #action: VbdEvent['action'];
  readonly #listener: VbdListener | undefined;
  #disk: Pick<VbdEvent, 'target' | 'device' | 'diskseq'> = {};

  constructor(vbd: VbdPath, action: VbdEvent['action'], listener: VbdListener | undefined) {
    this.#vbd = vbd;
    this.#action = action;
    this.#listener = listener;
  }

  step(step: VbdEvent['step'], detail: string, device?: StepDevice): void {
    if (device !== undefined) {
      this.#disk = { target: device.target, device: device.path, diskseq: device.diskseq };
    }
    this.#tell({ step, detail });
  }

  attached({ publication, openedBy, already, warnings }: AttachResult): void {
    for (const warning of warnings) this.#tell({ step: 'warned', detail: toOneLine(warning) });
    if (publication === undefined) {
      this.#tell({ step: 'attached', detail: 'the drive has no medium' });
      return;
    }
    const { 'physical-device-path': device, diskseq: hex } = publication;
    const diskseq = hex === undefined ? undefined : BigInt(`0x${hex}`);
    const detail = `${device}, open in blkback as ${openedBy} tells${already ? '; it was published before' : ''}`;
    this.#tell({ step: 'attached', detail, device, diskseq });
  }

  failed(error: unknown): void {
    const code = errorCode(error) ?? 'EINTERNAL';
    const errno = error instanceof BlkbackError ? error.errno : undefined;
    if (error instanceof Error) told.add(error);
    this.#tell({ step: 'failed', detail: shorten(toOneLine(errorMessage(error))), code, errno });
  }

  #tell(what: Omit<VbdEvent, 'time' | 'vbd' | 'action'>): void {
    const vbd = this.#vbd;
    this.#listener?.({ time: new Date(), vbd, action: this.#action, ...this.#disk, ...what });
  }
}

/**
 * Returns an event as one line for people, such as `7/51712: opened: /dev/loop0, …`. The sentence
 * of a failure may name the vbd once more.
 */
export function describeEvent({ vbd, action, step, detail }: VbdEvent): string {
  const name = `${vbd.domid}/${vbd.devid}`;
  return step === 'failed' ? `${name}: ${action} failed: ${detail}` : `${name}: ${step}: ${detail}`;
}

/**
 * Returns the fields of an event for the journal. With these fields,
 * `journalctl XEN_BLKBACK_DOMID=7` shows what happened to the disks of guest 7.
 */
export function eventFields(event: VbdEvent): Record<string, string> {
  const { vbd, action, step, device, diskseq, code, errno } = event;
  const fields: Record<string, string | number | bigint | undefined> = {
    XEN_BLKBACK_BACKEND: vbd.backend,
    XEN_BLKBACK_DOMID: vbd.domid,
    XEN_BLKBACK_DEVID: vbd.devid,
    XEN_BLKBACK_ACTION: action,
    XEN_BLKBACK_STEP: step,
    XEN_BLKBACK_DEVICE: device,
    DISKSEQ: diskseq,
    XEN_BLKBACK_CODE: code,
    ERRNO: errno,
  };
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    ),
  );
}
