/** One scenario on one driver, as dom0 has reported it. */
export interface Outcome {
  readonly scenario: string;
  readonly passed: boolean;
  readonly seconds: number;
  /** Why it failed. */
  readonly reason?: string;
}

/** What dom0 said, one line of it. `test/xen/dom0/run` has the grammar. */
export type ReportLine =
  | { readonly kind: 'begin'; readonly scenario: string }
  | { readonly kind: 'outcome'; readonly outcome: Outcome }
  | { readonly kind: 'note'; readonly scenario: string; readonly text: string }
  | { readonly kind: 'logs' }
  | { readonly kind: 'done' }
  | { readonly kind: 'other'; readonly text: string };

export function parseReportLine(line: string): ReportLine {
  const [, verb = '', scenario = '', rest = ''] =
    /^(begin|pass|fail|note|logs|done)(?: (\S+)(?: (.*))?)?$/.exec(line.trimEnd()) ?? [];
  switch (verb) {
    case 'begin':
      return { kind: 'begin', scenario };
    case 'note':
      return { kind: 'note', scenario, text: rest };
    case 'pass':
    case 'fail': {
      const [, seconds = '0', reason = ''] = /^(\S+) ?(.*)$/.exec(rest) ?? [];
      const outcome = { scenario, passed: verb === 'pass', seconds: Number(seconds) };
      return { kind: 'outcome', outcome: verb === 'pass' ? outcome : { ...outcome, reason } };
    }
    case 'logs':
      return { kind: 'logs' };
    case 'done':
      return { kind: 'done' };
    default:
      return { kind: 'other', text: line };
  }
}

/** The last words: a line for each scenario, a column for each machine; then the notes. */
export function summarise(
  outcomes: ReadonlyMap<string, readonly Outcome[]>,
  notes: readonly string[],
): string {
  const names = [...new Set([...outcomes.values()].flat().map(({ scenario }) => scenario))];
  const machines = [...outcomes.keys()];
  const width = Math.max(8, ...names.map((name) => name.length));
  const cell = (found: Outcome | undefined): string =>
    found === undefined ? '-' : `${found.passed ? 'ok' : 'FAILED'} ${found.seconds.toFixed(1)} s`;
  const row = (name: string, cells: readonly string[]): string =>
    `  ${name.padEnd(width)}  ${cells.map((text) => text.padEnd(18)).join('')}`.trimEnd();
  const lines = names.map((name) => {
    const found = machines.map((machine) =>
      outcomes.get(machine)?.find(({ scenario }) => scenario === name),
    );
    return row(name, found.map(cell));
  });
  return ['', row('scenario', machines), ...lines, ...(notes.length ? ['', ...notes] : [])].join(
    '\n',
  );
}
