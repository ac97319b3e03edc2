const name = String.raw`(?:"(?:[^"]|"")*"|\w+)`;
const words = String.raw`character varying|bit varying|double precision|(?:timestamp|time)(?:\(\d\))? with(?:out)? time zone`;
const cast = String.raw`::(?:(?:${words})|${name}(?:\.${name})*)(?:\(\d+(?:,\s*-?\d+)?\))?(?:\[\])*`;
const token = new RegExp(String.raw`'(?:[^']|'')*'|"(?:[^"]|"")*"|${cast}|\s+|[()[\],]|[^\s()[\]'",:]+|.`, 'gs');

/** A word, a literal, a call, or what stood in brackets: then `inner` is that without them. */
interface Item {
  readonly text: string;
  readonly inner?: string;
  /** What joins the parts of `inner`, if one thing does. */
  readonly joined?: 'AND' | 'OR' | undefined;
}

interface Group {
  readonly bracket: string;
  /** What is called or subscripted with it. */
  readonly of: string | undefined;
  readonly items: Item[];
}

/**
 * An expression, or a statement made of such, without what one dump and restore changes in it. `IN ('a')` on a varchar comes
 * back with its casts in another place and other brackets around them, and `a BETWEEN 1 AND 2 AND b` without those around
 * its first part. So casts do not count, nor brackets around one thing, nor those that join AND to AND. Literals, quoted
 * names and every other bracket do.
 */
export function canonicalExpression(text: string): string {
  const open: Group[] = [{ bracket: '', of: undefined, items: [] }];
  let touches = false; // the item before: no blank between
  for (const [part] of text.matchAll(token)) {
    const group = open.at(-1);
    if (group === undefined) break;
    if (/^\s/.test(part)) touches = false;
    else if (part.length > 2 && part.startsWith('::')) touches = true;
    else if (part === '(' || part === '[') {
      const of = touches && group.items.at(-1)?.text !== ',' ? group.items.pop()?.text : undefined;
      open.push({ bracket: part, of, items: [] });
      touches = false;
    } else if ((part === ')' || part === ']') && open.length > 1) {
      open.pop();
      open.at(-1)?.items.push(closed(group));
      touches = true;
    } else {
      group.items.push({ text: part });
      touches = true;
    }
  }
  while (open.length > 1) {
    const group = open.pop();
    if (group !== undefined) open.at(-1)?.items.push(closed(group));
  }
  return render(open[0]?.items ?? []).inner;
}

function closed({ bracket, of, items }: Group): Item {
  const { inner, joined } = render(items);
  if (bracket === '[') return { text: `${of ?? ''}[${inner}]` };
  if (of !== undefined) return { text: `${of}(${inner})` };
  const [only, ...more] = items;
  return only !== undefined && more.length === 0 ? only : { text: `(${inner})`, inner, joined };
}

function render(items: readonly Item[]): { readonly inner: string; readonly joined: Item['joined'] } {
  const has = (word: string): boolean => items.some(({ text }) => text === word);
  const joined = has('AND') === has('OR') ? undefined : has('AND') ? 'AND' : 'OR';
  const part = (item: Item): string =>
    joined !== undefined && item.joined === joined ? (item.inner ?? item.text) : item.text;
  return { inner: items.map(part).join(' '), joined };
}
