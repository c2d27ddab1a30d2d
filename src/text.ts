/** True when PostgreSQL's jsonb and UTF-8 can hold the text: no NUL, no lone surrogate. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** The text with U+FFFD for what they can't hold. */
export const toStorable = (text: string): string => text.replaceAll('\0', '\uFFFD').toWellFormed();
