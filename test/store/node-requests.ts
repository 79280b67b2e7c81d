import { PAYLOAD_MAX, XS } from '../../src/xenstore/packet.js';
import {
  type Change,
  getNode,
  makeNode,
  type Records,
  Refusal,
  removeNode,
  setPermissions,
  writeNode,
} from './memory-tree.js';
import { OK, type RequestMessage, strings } from './server-messages.js';

/** The answer to a request, and the changes that the request has made. */
export interface Answer {
  /**
   * `undefined` for a read of a node that does not exist. Such reads are so frequent that the
   * simulator would spend a tenth of its time on exceptions.
   */
  readonly body: Buffer | undefined;
  readonly changes: readonly Change[];
}

/** Carries out a request on the node at the absolute path `node`. */
export function answerNode(records: Records, request: RequestMessage, node: string): Answer {
  const { type, body, texts } = request;
  const gives = (bytes: Buffer | undefined): Answer => ({ body: bytes, changes: [] });
  const changed = (changes: readonly Change[]): Answer => ({ body: OK, changes });
  switch (type) {
    case XS.read:
      return gives(records.get(node)?.value);
    case XS.directory:
      return gives(directory(records, node));
    case XS.directoryPart:
      return gives(directoryPart(records, node, Number(texts[1])));
    case XS.getPermissions:
      return gives(strings(...getNode(records, node).permissions));
    case XS.write:
      return changed(writeNode(records, node, body.subarray(body.indexOf(0) + 1)));
    case XS.mkdir:
      return changed(makeNode(records, node));
    case XS.remove:
      return changed(removeNode(records, node));
    case XS.setPermissions:
      return changed(setPermissions(records, node, texts.slice(1)));
    default:
      throw new Refusal('ENOSYS');
  }
}

function directory(records: Records, node: string): Buffer {
  const names = strings(...getNode(records, node).children);
  if (names.length > PAYLOAD_MAX) throw new Refusal('E2BIG');
  return names;
}

/** Returns as many names as fit, beginning with the name at `offset`. */
function directoryPart(records: Records, node: string, offset: number): Buffer {
  const { children, generation } = getNode(records, node);
  const head = strings(String(generation));
  let [skipped, next] = [0, 0];
  while (skipped < offset) skipped += (children[next++]?.length ?? 0) + 1;
  const names: string[] = [];
  let room = PAYLOAD_MAX - head.length - 1;
  for (const name of children.slice(next)) {
    room -= name.length + 1;
    if (room < 0) break;
    names.push(name);
  }
  const isLast = next + names.length === children.length;
  return Buffer.concat([head, strings(...names, ...(isLast ? [''] : []))]);
}
