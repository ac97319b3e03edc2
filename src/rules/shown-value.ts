import { canonicalJson, isJsonObject, type Json } from './json.ts';

const secretName = /passw|passphrase|secret|token|key|credential|private/i;
const secretText = /-----BEGIN|^ENC\[|^\$\d?[a-z]*\$/;
const longest = 60;

/** A name whose value is not for everybody's eyes. */
export const isSecretName = (name: string): boolean => secretName.test(name);

/**
 * A value of the classifier as a person reads it: on one line, shortened, `***` for what its name or its look makes a secret.
 * `name` is that of the parameter or variable.
 */
export function shownValue(name: string, value: Json | undefined): string {
  if (value === undefined) return 'unset';
  return shortened(canonicalJson(withoutSecrets(name, value)));
}

/** At most so many characters as stand in a line beside others. */
export function shortened(text: string, most = longest): string {
  const characters = Array.from(text);
  return characters.length <= most ? text : `${characters.slice(0, most - 3).join('')}...`;
}

function withoutSecrets(name: string, value: Json): Json {
  if (isSecretName(name)) return '***';
  if (typeof value === 'string') return textWithoutSecrets(value);
  if (Array.isArray(value)) return (value as readonly Json[]).map((inner) => withoutSecrets('', inner));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, inner === undefined ? undefined : withoutSecrets(key, inner)]),
  );
}

/** Also of what stands in a sentence, such as `https://user:word@host`. */
export const textWithoutSecrets = (text: string): string =>
  secretText.test(text)
    ? '***'
    : text
        .replaceAll(/(\/\/[^/\s:@]*):[^/\s@]*@/g, '$1:***@')
        .replaceAll(/\b(\w*(?:passw|secret|token)\w*\s*[=:]\s*)\S+/gi, '$1***');
