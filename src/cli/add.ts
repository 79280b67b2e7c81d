import { describeLocator } from '../block/mapper/mapper-device.js';
import type { ExportRequest } from '../block/open-export.js';
import { attach } from '../hotplug/attach.js';
import { isEmptyDrive } from '../hotplug/empty-drive.js';
import { planAttach } from '../hotplug/plan.js';
import { formatDevnum } from '../linux/devnum.js';
import { showPath } from '../util/path-bytes.js';
import type { Publication } from '../vbd/publish-device.js';
import { scanDevnum } from '../vbd/scan-devnum.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import type { Context, Outcome } from './invocation.js';
import { complain } from './output.js';

/** Runs `add`: attaches the vbd. With `--dry-run`, only describes what an attach would do. */
export async function add(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal, onStep } = context;
  if (context.invocation.dryRun) return plan(context);
  const result = await attach(store, vbd, { ...settings, signal, onStep });
  const { publication, openedBy, already } = result;
  if (publication === undefined) {
    return {
      text: `${vbd.backend}: the drive has no medium`,
      quiet: true,
      json: { backend: result.backend, medium: false },
    };
  }
  for (const warning of result.warnings) complain(`xen-blkback: ${warning}\n`);
  return {
    text: `${vbd.backend}: ${showPath(publication['physical-device-path'])} is open in blkback${already ? ' (it was attached before)' : ''}`,
    quiet: true,
    json: {
      backend: result.backend,
      medium: true,
      ...describePublication(publication),
      'opened-by': openedBy,
      already,
      warnings: result.warnings,
    },
  };
}

/**
 * Returns the JSON of a publication. Numbers are decimal, as everywhere in the JSON. `xenstore`
 * holds the nodes as XenStore has them.
 */
function describePublication(publication: Publication): Record<string, unknown> {
  const { 'physical-device': text, 'physical-device-path': device, diskseq } = publication;
  // In the inline dialect, the device number follows the diskseq and an `@`.
  const devnum = scanDevnum(text.replace(/^.*@/, ''));
  return {
    device,
    devnum: devnum === undefined ? null : formatDevnum(devnum),
    diskseq: diskseq === undefined ? null : String(BigInt(`0x${diskseq}`)),
    xenstore: publication,
  };
}

async function plan({ store, vbd, settings, signal }: Context): Promise<Outcome> {
  const backend = await readVbdBackend(store, vbd, { signal });
  if (isEmptyDrive(backend)) {
    return {
      text: `write hotplug-status below ${vbd.backend}: the drive has no medium`,
      json: { backend: vbd.backend, medium: false },
    };
  }
  const { request, target } = planAttach(vbd, backend);
  const { locator, writable, file } = request;
  const steps = [
    `open ${describeDevice(locator)} for ${writable ? 'reading and writing' : 'reading'}`,
    `if it is a file: a loop device over it, from byte ${file.offset}, ${file.size ?? 'all'} bytes, blocks of ${file.blockSize}, direct I/O ${file.directIo}, autoclear ${target.autoclear ? 'on' : 'off'}`,
    ...(target.verityRoot ? [`check that it is dm-verity with root ${target.verityRoot}`] : []),
    ...(target.layer ? [`make a ${target.layer} layer over it, which goes with the guest`] : []),
    `write physical-device, physical-device-path and diskseq below ${vbd.backend} when its state is 2 (${settings.uapi} dialect)`,
    `wait up to ${settings.timeoutMs / 1000} s until blkback has opened it, then let go`,
    ...(target.deferredRemove ? ['mark the mapper device for deferred removal'] : []),
  ];
  return {
    text: steps.join('\n'),
    json: {
      backend: vbd.backend,
      ...locatorJson(locator),
      writable,
      offset: String(file.offset),
      size: file.size === undefined ? null : String(file.size),
      'block-size': file.blockSize,
      'direct-io': file.directIo,
      autoclear: target.autoclear,
      layer: target.layer ?? null,
      'deferred-remove': target.deferredRemove,
      'verity-root': target.verityRoot ?? null,
      uapi: settings.uapi,
    },
  };
}

function describeDevice(locator: ExportRequest['locator']): string {
  if ('path' in locator) return showPath(locator.path);
  if ('diskseq' in locator) return `the disk with diskseq ${locator.diskseq}`;
  return `the mapper device with ${describeLocator(locator)}`;
}

function locatorJson(locator: ExportRequest['locator']): Record<string, unknown> {
  if ('path' in locator) return { path: locator.path };
  if ('dmName' in locator) return { 'dm-name': locator.dmName };
  if ('dmUuid' in locator) return { 'dm-uuid': locator.dmUuid };
  return { diskseq: String(locator.diskseq), partition: locator.partition };
}
