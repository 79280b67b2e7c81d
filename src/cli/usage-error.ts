import { BlkbackError } from '../errors.js';

/** A command line or environment that does not make sense. */
export class UsageError extends BlkbackError {
  constructor(message: string) {
    super(message, { code: 'EUSAGE' });
  }
}

/** A configuration file that does not make sense, or cannot be read. */
export class ConfigError extends BlkbackError {
  /** The line that is wrong; 0 where it is the file. */
  readonly line: number;

  constructor(message: string, { line = 0, cause }: { line?: number; cause?: unknown } = {}) {
    super(message, { code: 'ECONFIG', cause });
    this.line = line;
  }
}
