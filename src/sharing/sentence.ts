import { formatDevnum } from '../linux/devnum.js';
import type { Access } from '../topology/local-uses.js';
import { toOneLine } from '../util/one-line.js';
import type { ExportUse } from './export-use.js';
import type { Rival } from './rivals.js';

/** Who stands in the way of an export, and what would let it through; one sentence. */
export function describeRival(wanted: ExportUse, rival: Rival, vdev: string | undefined): string {
  const { subject, access, domid } = wanted;
  const who = domid === undefined ? 'nobody else can' : `domain ${domid} cannot`;
  const use = toOneLine(`${subject} ${relate(wanted, rival)}${describeUse(rival, vdev)}`);
  return `${use}; so ${who} have it ${access} (${advice(wanted, rival)})`;
}

/** The same bytes may be reached by another device, which is named then. */
function relate({ device, subject }: ExportUse, rival: Rival): string {
  if (rival.devnum === undefined || rival.path === subject) return 'is ';
  if (device === undefined || device === formatDevnum(rival.devnum)) return 'is ';
  return `shares bytes with ${rival.path}, which is `;
}

function describeUse(rival: Rival, vdev: string | undefined): string {
  switch (rival.kind) {
    case 'guest': {
      const { domain, vbd } = rival;
      const name = domain.name === undefined ? '' : ` (${domain.name})`;
      const how = `attached ${rival.access} to domain ${domain.domid}${name}`;
      return `${how} as ${vdev ?? `device ${vbd.devid}`}`;
    }
    case 'mount':
      return `mounted ${rival.access} here, ${rival.path} on ${rival.where}`;
    case 'swap':
      return `used as swap here (${rival.path})`;
    case 'claim':
      return rival.where === ''
        ? `held exclusively here by a program that has opened ${rival.path}`
        : `in use here: ${rival.where} stands on ${rival.path}`;
  }
}

function advice({ sharing, access }: ExportUse, rival: Rival): string {
  const readerHelps: Access = 'read-only';
  if (access !== readerHelps && rival.access === readerHelps && sharing === 'deny') {
    return 'mode r could, or sharing=read-only';
  }
  if (access === readerHelps && sharing === 'deny') return 'sharing=read-only permits that';
  return 'sharing=allow would not ask';
}
