/** The fact file's text with these facts set, a line each, everything else of it left as it is: comments, order, other facts. */
export function setFacts(text: string, facts: Readonly<Record<string, string>>): string {
  const lines = text === '' ? ['---'] : text.replace(/\n+$/, '').split('\n');
  for (const [name, value] of Object.entries(facts)) {
    const line = `${name}: ${isPlain(value) ? value : JSON.stringify(value)}`;
    const at = lines.findIndex((one) => one.startsWith(`${name}:`));
    if (at < 0) lines.push(line);
    else lines[at] = line;
  }
  return `${lines.join('\n')}\n`;
}

// Words that YAML (of any version) reads as something else.
const isWord = (value: string): boolean => /^(y|n|yes|no|on|off|true|false|null)$/i.test(value);
const isPlain = (value: string): boolean => /^[A-Za-z][A-Za-z0-9.-]*$/.test(value) && !isWord(value);

/** The text without these facts, everything else of it left as it is. */
export const unsetFacts = (text: string, names: readonly string[]): string =>
  text
    .split('\n')
    .filter((line) => !names.some((name) => line.startsWith(`${name}:`)))
    .join('\n');

/** The text without our facts; undefined where no other fact is left. */
export function withoutFacts(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => !line.startsWith('pe_failover_'));
  const isMeant = (line: string): boolean => !/^\s*(#.*|---\s*)?$/.test(line);
  return lines.some(isMeant) ? lines.join('\n') : undefined;
}
