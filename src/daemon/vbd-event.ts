import { BlkbackError, errorCode, errorMessage } from '../errors.js';
import type { AttachResult, AttachStep, StepDevice } from '../hotplug/attach.js';
import type { DetachStep } from '../hotplug/detach.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/** A step of one vbd. The last one of an add is `attached` or `failed`, of a remove `removed` or `failed`. */
export interface VbdEvent {
  readonly time: Date;
  readonly vbd: VbdPath;
  readonly action: 'add' | 'remove';
  readonly step: AttachStep | DetachStep | 'warned' | 'attached' | 'failed';
  /** For people; one line. */
  readonly detail: string;
  /** What the vbd was to get. */
  readonly target?: string | undefined;
  /** A path of the device, where it is certain: from `opened` on. */
  readonly device?: string | undefined;
  readonly diskseq?: bigint | undefined;
  /** Of a failure. */
  readonly code?: string | undefined;
  readonly errno?: number | undefined;
}

/** What readers of events are told: steps, what a guest does by itself in between, and how a vbd is. */
export interface FeedEvent extends Omit<VbdEvent, 'action' | 'step'> {
  readonly action: VbdEvent['action'] | 'guest' | 'snapshot';
  readonly step: string;
  /** Of xenbus, as a digit. */
  readonly state?: string | undefined;
}

/** Told of events as they happen. */
export type VbdListener = (event: VbdEvent) => void;

/** The steps of one attach or detach, as they become events for `listener`. */
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
    this.#tell({ step: 'failed', detail: shorten(toOneLine(errorMessage(error))), code, errno });
  }

  #tell(what: Omit<VbdEvent, 'time' | 'vbd' | 'action'>): void {
    const vbd = this.#vbd;
    this.#listener?.({ time: new Date(), vbd, action: this.#action, ...this.#disk, ...what });
  }
}

/** `7/51712: opened: /dev/loop0, …`; a failure's sentence may name the vbd itself. */
export function describeEvent({ vbd, action, step, detail }: VbdEvent): string {
  const name = `${vbd.domid}/${vbd.devid}`;
  return step === 'failed' ? `${name}: ${action} failed: ${detail}` : `${name}: ${step}: ${detail}`;
}

/** Fields for the journal; `journalctl XEN_BLKBACK_DOMID=7` shows what happened to a guest's disks. */
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
