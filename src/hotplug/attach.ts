import { isBlockError } from '../block/block-error.js';
import { errorMessage } from '../errors.js';
import { awaitHungPlace, describeHungCall } from '../linux/hung-calls.js';
import { retry } from '../util/retry.js';
import { runSteps, type Step } from '../util/steps.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import { readPublishedDevice } from '../vbd/published-device.js';
import { ATTACH_NODES, readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdDirectory } from '../vbd/vbd-directory.js';
import { VbdError } from '../vbd/vbd-error.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { adoptSteps } from './adopt-steps.js';
import type { AttachOptions, AttachResult, AttachStep, StepDevice } from './attach-options.js';
import { attachSteps } from './attach-steps.js';
import { Attachment } from './attachment.js';
import { Deadline } from './deadline.js';
import { attachEmptyDrive, isEmptyDrive } from './empty-drive.js';
import { HotplugError } from './hotplug-error.js';
import { planAttach } from './plan.js';
import { reportAttachFailure } from './report-to-toolstack.js';

export type { AttachOptions, AttachResult, AttachStep, StepDevice };

/**
 * The errors that mean that another program has published a device in between, or that the vbd was
 * made anew.
 */
const RACED: readonly string[] = ['ERACE', 'EOPEN'];

/**
 * Attaches a vbd: opens the device that `params` names, verifies it, names it to blkback, holds it
 * until blkback has opened it too, and closes it. When this function throws, everything that it
 * made is gone again, except a device that blkback has open by then or may still open. The nodes go
 * on naming that device, the vbd's end has been asked for, and `remove` undoes the attach.
 * `hotplug-error` tells the reason, as far as XenStore can be reached in time.
 */
export async function attach(
  store: Xenstore,
  vbd: VbdPath,
  options: AttachOptions,
): Promise<AttachResult> {
  using deadline = new Deadline(options.timeoutMs, options.signal);
  await requireOwnDomain(store, vbd, { signal: deadline.signal });
  const run = new AttachRun(store, vbd, options, deadline);
  try {
    return await run.attach();
  } catch (cause) {
    const error = await run.explain(cause);
    const { sysfs } = options;
    const report = { signal: deadline.rollback(), sysfs, instance: run.instance };
    // The caller is told the first error. A failure to report it would only hide it.
    await reportAttachFailure(store, vbd, error, report).catch(() => undefined);
    throw error;
  }
}

/**
 * The attempts, and the pauses between them in milliseconds, to open a device whose sequence number
 * rises before the device is published.
 */
const NEW_MEDIUM = { attempts: 4, firstDelayMs: 20, maxDelayMs: 200 } as const;

/** One call of `attach`, which may take several attempts. */
class AttachRun {
  readonly #store: Xenstore;
  readonly #vbd: VbdPath;
  readonly #options: AttachOptions;
  readonly #deadline: Deadline;
  /** Whether blkback has been told of a device. Nothing after that is done twice. */
  #published = false;
  /** The instance that was to get the device; pinned only while a step needs it. */
  #instance: VbdDirectory | undefined;
  /** The step that is under way. */
  #step: Pick<Step<AttachStep>, 'waitsFor'> = { waitsFor: 'XenStore to answer' };

  constructor(store: Xenstore, vbd: VbdPath, options: AttachOptions, deadline: Deadline) {
    this.#store = store;
    this.#vbd = vbd;
    this.#options = options;
    this.#deadline = deadline;
  }

  get instance(): VbdDirectory | undefined {
    return this.#instance;
  }

  /**
   * Attaches once, or twice where another program has published a device in between. Two adds of
   * one vbd at once are no error: the second add finds the device that the first one has published.
   */
  async attach(): Promise<AttachResult> {
    try {
      return await this.#attachMedium(this.#options.seen ?? (await this.#readBackend()));
    } catch (error) {
      if (!(error instanceof VbdError) || !RACED.includes(error.code)) throw error;
      return await this.#attachMedium(await this.#readBackend());
    }
  }

  /**
   * Attaches the vbd, and opens the device again when it has a new medium. A card reader may report
   * a new medium at any time.
   */
  #attachMedium(backend: VbdBackend): Promise<AttachResult> {
    const retryOn = (error: unknown): boolean =>
      isBlockError(error, 'ENEWMEDIUM') && !this.#published;
    const { signal } = this.#deadline;
    return retry({ ...NEW_MEDIUM, retryOn, signal }, () => this.#attachOnce(backend));
  }

  /** Reads the nodes that an attach needs, or all nodes where a device was published before. */
  async #readBackend(): Promise<VbdBackend> {
    const { signal } = this.#deadline;
    const backend = await readVbdBackend(this.#store, this.#vbd, { nodes: ATTACH_NODES, signal });
    if (backend.bytes('physical-device') === undefined) return backend;
    return await readVbdBackend(this.#store, this.#vbd, { signal });
  }

  async #attachOnce(backend: VbdBackend): Promise<AttachResult> {
    this.#options.onSeen?.(backend);
    if (isEmptyDrive(backend)) return await this.#attachNothing(backend);
    const plan = planAttach(this.#vbd, backend);
    this.#tell('planned', plan.target.keys.join(', '));
    const published = readPublishedDevice(this.#vbd, backend);
    const attachment = new Attachment({
      store: this.#store,
      vbd: this.#vbd,
      backend,
      plan,
      published,
      options: this.#options,
      deadline: this.#deadline,
    });
    const steps = published ? adoptSteps(attachment, published) : attachSteps(attachment);
    await runSteps(steps, {
      onStart: (step) => {
        this.#step = step;
      },
      onDone: ({ name }, detail) => {
        if (name === 'ready') this.#instance = attachment.instance.directory;
        if (name === 'published') this.#published = true;
        this.#tell(name, detail, attachment.stepDevice);
      },
      onLeft: ({ name }, error) => {
        this.#tell(name, `could not be undone: ${errorMessage(error)}`, attachment.stepDevice);
      },
    });
    const { publication, openedBy = 'sysfs', warnings } = attachment;
    const already = published !== undefined;
    return { backend: this.#vbd.backend, publication, openedBy, already, warnings };
  }

  async #attachNothing(seen: VbdBackend): Promise<AttachResult> {
    await attachEmptyDrive(this.#store, this.#vbd, seen, this.#deadline.signal);
    this.#tell('reported', 'the drive has no medium');
    const { backend } = this.#vbd;
    return { backend, publication: undefined, openedBy: undefined, already: false, warnings: [] };
  }

  /**
   * Explains an error to the caller. The deadline's own error says only that the deadline passed.
   * The explanation says what the attach was waiting for.
   */
  async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof HotplugError) || error.code !== 'ETIMEDOUT') return error;
    // The rest of the time is for the report to the toolstack.
    await awaitHungPlace(error, this.#deadline.leftMs / 2);
    const seconds = this.#options.timeoutMs / 1000;
    const hung = describeHungCall(error);
    return new HotplugError(
      `${this.#vbd.backend}: gave up within the ${seconds} s that there are, waiting for ${this.#step.waitsFor}${hung === undefined ? '' : `: ${hung}`}`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }

  /**
   * Tells the listener of a step. Steps without a detail are of no interest to a person who follows
   * an attach.
   */
  #tell(step: AttachStep, detail: string, device?: StepDevice): void {
    if (detail !== '') this.#options.onStep?.(step, detail, device);
  }
}
