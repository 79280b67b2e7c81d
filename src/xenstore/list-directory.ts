import { ERRNO } from '../util/errno.js';
import { Exchange, type ExchangeOptions } from './exchange.js';
import { XS } from './packet.js';
import { decodeDirectoryPart, decodeTexts } from './payload.js';

/**
 * The exchange that lists the names of a node's children. The names come in one reply where they
 * fit, and part by part otherwise. When the list changes between two parts, the exchange starts
 * again; only its deadline bounds that. Later requests do not wait for the parts, so a long list
 * may show what later requests have changed.
 */
export class ListDirectory extends Exchange<string[]> {
  #sent = false;
  #names: string[] = [];
  #offset = 0;
  #generation: string | undefined;

  constructor(path: string, options: ExchangeOptions<string[]>) {
    super('directory', path, options);
    this.type = XS.directory;
    this.head = path;
  }

  override get isSent(): boolean {
    return this.#sent || !this.isAwaited;
  }

  override advance(): boolean {
    this.#sent = true;
    return true;
  }

  override reply(_index: number, errno: number, body: Buffer): string | undefined {
    if (errno === ERRNO.E2BIG && this.type === XS.directory) this.#askFor(0);
    else if (errno !== 0) this.fail('directory', this.path, errno);
    else if (this.type === XS.directory) this.succeed(decodeTexts(body));
    else return this.#add(body);
    return undefined;
  }

  #add(body: Buffer): string | undefined {
    const { generation, names, size, isLast } = decodeDirectoryPart(body);
    if (this.#offset > 0 && generation !== this.#generation) {
      this.#askFor(0);
      return undefined;
    }
    if (!isLast && size === 0) return 'sent an empty part of a directory';
    this.#generation = generation;
    this.#names.push(...names);
    if (isLast) this.succeed(this.#names);
    else this.#askFor(this.#offset + size);
    return undefined;
  }

  #askFor(offset: number): void {
    if (offset === 0) this.#names = [];
    this.#offset = offset;
    this.type = XS.directoryPart;
    this.tail = `${offset}\0`;
    this.#sent = false;
  }
}
