/**
 * Converts OpenMetrics text to Prometheus' older text format, which node-exporter reads from files.
 * The older format knows no infos and no units, and names a counter as its samples are named. Pure.
 */
export function toPrometheusText(openMetrics: string): string {
  const types = new Map<string, string>();
  const lines = openMetrics.split('\n').flatMap((line) => {
    const [, keyword, family = '', rest = ''] = /^# (\w+) ?(\S*) ?(.*)$/.exec(line) ?? [];
    if (keyword === undefined) return [line];
    if (keyword === 'EOF' || keyword === 'UNIT') return [];
    if (keyword === 'TYPE') types.set(family, rest);
    const type = types.get(family);
    const suffix = type === 'counter' ? '_total' : type === 'info' ? '_info' : '';
    return [`# ${keyword} ${family}${suffix} ${rest === 'info' ? 'gauge' : rest}`];
  });
  return lines.join('\n');
}
