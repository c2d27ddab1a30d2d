import type { BentoCacheLike } from './bento-like.ts';

/**
 * Finds out from the first invalidation whether other processes hear of it. bentocache tells of what it publishes, not
 * of whether it has a bus; of a store or a namespace it tells nothing.
 */
export class BusCheck {
  readonly #bento: BentoCacheLike;
  #isDone: boolean;

  constructor(bento: BentoCacheLike, isNeeded: boolean) {
    this.#bento = bento;
    this.#isDone = !isNeeded || bento.on === undefined;
    if (!this.#isDone) bento.on?.('bus:message:published', () => (this.#isDone = true));
  }

  /** To be called after an invalidation, with a way to read back what it wrote. */
  async check(key: string, read: (key: string) => Promise<unknown>): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    // Without a first level all processes read the same store, and need no bus.
    if ((await this.#levelOf(key, read)) === 'l2') return;
    process.emitWarning(
      'bentocache has no bus, or could not reach it: invalidations stay in this process, and others serve what they ' +
        'have until ttlMs. Give the store a bus, or say new EntityCache(serializer, bentocache, { singleProcess: true }).',
      'ByReferenceWarning',
    );
  }

  async #levelOf(key: string, read: (key: string) => Promise<unknown>): Promise<'l1' | 'l2' | undefined> {
    let level: 'l1' | 'l2' | undefined;
    const listener = (hit: { key: string; layer: 'l1' | 'l2' }): void => {
      if (hit.key === key) level = hit.layer;
    };
    this.#bento.on?.('cache:hit', listener);
    await read(key);
    this.#bento.off?.('cache:hit', listener);
    return level;
  }
}
