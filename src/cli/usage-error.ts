import { BlkbackError } from '../errors.js';

/** The error of an invalid command line or environment. `code` is `EUSAGE`. */
export class UsageError extends BlkbackError {
  constructor(message: string) {
    super(message, { code: 'EUSAGE' });
  }
}

/** The error of a configuration file that is invalid or cannot be read. `code` is `ECONFIG`. */
export class ConfigError extends BlkbackError {
  /** The number of the wrong line, or 0 if the error concerns the whole file. */
  readonly line: number;

  constructor(message: string, { line = 0, cause }: { line?: number; cause?: unknown } = {}) {
    super(message, { code: 'ECONFIG', cause });
    this.line = line;
  }
}
