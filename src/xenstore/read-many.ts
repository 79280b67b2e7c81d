import { ERRNO } from '../util/errno.js';
import { Exchange, type ExchangeOptions } from './exchange.js';
import { XS } from './packet.js';

type Values = (Buffer | undefined)[];

/**
 * The exchange that reads many nodes at once. The value of a node that does not exist is
 * `undefined`.
 */
export class ReadMany extends Exchange<Values> {
  readonly #paths: readonly string[];
  readonly #values: Values;
  #sent = 0;
  #answered = 0;
  /** The first path, in the order of the paths, whose read failed. */
  #failed: { readonly index: number; readonly errno: number } | undefined;

  constructor(paths: readonly string[], options: ExchangeOptions<Values>) {
    super('read', '', options);
    this.#paths = paths;
    this.#values = new Array<Buffer | undefined>(paths.length).fill(undefined);
    this.type = XS.read;
  }

  override get isSent(): boolean {
    return this.#sent === this.#paths.length || !this.isAwaited;
  }

  override advance(): boolean {
    this.index = this.#sent++;
    this.head = this.#paths[this.index] ?? '';
    return true;
  }

  override reply(index: number, errno: number, body: Buffer): undefined {
    if (errno === 0) this.#values[index] = Buffer.from(body);
    else if (errno !== ERRNO.ENOENT && index < (this.#failed?.index ?? Infinity)) {
      this.#failed = { index, errno };
    }
    if (++this.#answered < this.#paths.length) return undefined;
    if (this.#failed) {
      this.fail('read', this.#paths[this.#failed.index] ?? '', this.#failed.errno);
    } else this.succeed(this.#values);
    return undefined;
  }
}
