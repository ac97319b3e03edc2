/** "1 hold", "3 holds". */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** Whole units, the two largest: "3 h 12 min", "45 s". */
export function spokenDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  const said = units.slice(first, first + 2).filter(([count]) => count > 0);
  return said.map(([count, unit]) => `${count} ${unit}`).join(' ');
}

/** In the units of the configuration: "512 B", "1.2 GB". */
export function spokenBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const place = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const count = bytes / 1000 ** place;
  return `${count < 10 && place > 0 ? count.toFixed(1) : Math.round(count)} ${units[place]}`;
}
