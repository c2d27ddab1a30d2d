import { createHash } from 'node:crypto';
import type { EntitySerializer } from '../entity-serializer.ts';

/** Some stores of bentocache have columns of 255 characters, and it puts a prefix before the key. */
const LONGEST = 160;

/**
 * The key of an entry: a string as it is, any other value in canonical encoding; neither can be taken for the other, and
 * none for one in a scope.
 */
export function entryKey(serializer: EntitySerializer, key: unknown, scope: unknown): string {
  if (scope !== undefined) return shortened('byref:scoped:', () => serializer.dedupeKey([scope, key]));
  return shortened(typeof key === 'string' ? 'byref:text:' : 'byref:value:', () =>
    typeof key === 'string' ? key : serializer.dedupeKey(key),
  );
}

/** Where the stamp of a tag is kept. */
export const stampKey = (tag: string): string => shortened(STAMP, () => tag);

export const STAMP = 'byref:tag:';

/** A digest never looks like what it stands for: it is longer than what stays as it is. */
function shortened(prefix: string, read: () => string): string {
  const text = read();
  if (text.length <= LONGEST) return prefix + text;
  return `${prefix}${text.slice(0, LONGEST - 64)}#${createHash('sha512').update(Buffer.from(text, 'utf16le')).digest('base64url')}`;
}
