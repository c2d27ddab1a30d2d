/** All of Unicode's controls, formats, surrogates and unassigned code points, and what breaks a line. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * Text in which nothing is left that a terminal would obey: escape sequences, line breaks and changes of writing
 * direction stand as `\u001b`, also inside JSON, where they mean what they did.
 */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** Indented JSON, of which the same holds. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value, null, 2).split('\n').map(printable).join('\n');

/** The beginning of a long text, with its length. */
export const clipped = (text: string, length = 200): string =>
  text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`;

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
