/** A finding in the JSON of `audit` and `gc`. */
export interface Found {
  readonly kind: string;
  readonly object: string;
  readonly meaning: string;
  readonly command: string;
  readonly automatic: boolean;
  /** The reason for which `gc` leaves it; `null` where `gc` ends it. */
  readonly reason: string | null;
}
