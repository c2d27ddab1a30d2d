import { randomBytes } from 'node:crypto';

/**
 * What a tag carries since its last invalidation: a random text, of which only equality means anything. A value holds
 * the stamps that its tags had before its factory began, and is good while they have the same.
 */
export type Stamp = string;

const OPEN = 'open:';

export const newStamp = (): Stamp => randomBytes(9).toString('base64url');

/** Of a tag that a transaction is about to commit: nothing that is made or found under it is kept or served. */
export const newOpenStamp = (): Stamp => OPEN + newStamp();

export const isOpen = (stamp: Stamp): boolean => stamp.startsWith(OPEN);

/** What is read of a tag whose stamp is on its way to the store: open, whatever it will be. */
export const UNCONFIRMED: Stamp = OPEN;
