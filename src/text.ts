/** True when PostgreSQL's jsonb and UTF-8 can hold the text: no NUL, no lone surrogate. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** The text with U+FFFD for what they can't hold. */
export const toStorable = (text: string): string => text.replaceAll('\0', '\uFFFD').toWellFormed();

/** All of Unicode's controls, formats, surrogates and unassigned code points, and what breaks a line. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * Text in which nothing is left that a terminal or the reader of a log would obey: escape sequences, line breaks and
 * changes of writing direction stand as `\u001b`, also inside JSON, where they mean what they did.
 */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** The beginning of a long text, with its length. */
export const clipped = (text: string, length = 200): string =>
  text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`;

/** Printable text of bounded length: strangers choose names, of megabytes too, and errors are logged and kept. */
export const harmless = (text: string, length = 2_000): string =>
  // Cut twice, as escapes are longer than what they stand for.
  shortened(printable(shortened(text, length)), length);

/** Without its middle where it is long: what to do next is at the end of a message. */
export const shortened = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length / 2)} … ${text.slice(-length / 4)}`.toWellFormed();

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
