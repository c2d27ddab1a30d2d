import type { BentoCacheLike } from './bento-like.ts';
import type { Levels } from './levels.ts';

/**
 * Finds out from the first invalidation whether other processes hear of it. bentocache tells of what it publishes, not
 * of whether it has a bus; of a store or a namespace it tells nothing.
 */
export class BusCheck {
  #isDone: boolean;

  constructor(bento: BentoCacheLike, isNeeded: boolean) {
    this.#isDone = !isNeeded || bento.on === undefined;
    if (!this.#isDone) bento.on?.('bus:message:published', () => (this.#isDone = true));
  }

  /** To be called after an invalidation. */
  async check(levels: () => Promise<Levels>): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    // Without a first level all processes read the same store, and need no bus.
    if (!(await levels()).hasFirst) return;
    process.emitWarning(
      'bentocache has no bus, or could not reach it: invalidations stay in this process, and others serve what they ' +
        'have for seconds more, or until ttlMs without a second level. Give the store a bus, or say ' +
        'new EntityCache(serializer, bentocache, { singleProcess: true }).',
      'ByReferenceWarning',
    );
  }
}
