import type { JsonValue } from '../wire/json.ts';
import { anyText, collatedText, type KeyColumn, text, trimEnd, UUID } from './key-column.ts';

/** Written in any spelling that databases with a type of it take: in braces, in capitals, without hyphens. */
export const uuid: KeyColumn = {
  ...text('a uuid', (value) => (UUID.test(value) ? value.toLowerCase() : undefined)),
  write(value) {
    if (typeof value !== 'string') return undefined;
    const digits = value
      .replace(/^\{(.*)\}$/, '$1')
      .replaceAll('-', '')
      .toLowerCase();
    if (!/^[\da-f]{32}$/.test(digits)) return undefined;
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  },
  asRead: '[^A-F]{8}-[^A-F]{4}-[^A-F]{4}-[^A-F]{4}-[^A-F]{12}',
};

/** Of char(n): what pads it is no part of the value, and comparisons ignore it. */
export const paddedText = collatedText(undefined, (value) => trimEnd(value, ' '));

/** Of spaces at the end a column of varying length cuts those that it has no room for. */
export function varyingText([length]: readonly number[]): KeyColumn {
  if (length === undefined) return anyText;
  const stored = (value: string): string => cut(value, length);
  return { ...collatedText(stored), asRead: `[^~]{0,${length}}` };
}

function cut(value: string, length: number): string {
  if (value.length <= length) return value;
  const kept = trimEnd(value, ' ');
  const spaces = value.length - kept.length;
  const characters = [...kept].length;
  return characters + spaces <= length ? value : kept + ' '.repeat(Math.max(0, length - characters));
}

/** Of a database that has no type of it: text in the one spelling, compared as `column` is. */
export const uuidIn = (column: KeyColumn): KeyColumn => {
  const isUuid = (value: unknown): boolean => typeof value === 'string' && UUID.test(value);
  return {
    ...column,
    expected: 'a uuid',
    write: (value) => (isUuid(value) ? column.write(value) : undefined),
    read: (wire: JsonValue) => (isUuid(wire) ? wire : undefined),
  };
};
