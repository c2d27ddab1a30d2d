import type { BentoCacheLike } from './bento-like.ts';
import { STAMP, stampKey } from './cache-key.ts';
import type { LogicalClock } from './logical-clock.ts';
import type { Tag } from './tags.ts';

/** A stamp outlives every entry that it could make stale. */
export const STAMP_MS = 30 * 24 * 3_600_000;

/** Tags whose invalidation this process has heard of last. */
const RECENT = 100_000;

const LONGEST_RETRY_MS = 60_000;

/**
 * When each tag was last invalidated, kept in the cache's own store: its second level and its bus carry that to other
 * processes. bentocache's tags are no use here: they date a value when it is stored, not when its factory began to
 * read, and where there is a grace period, they let the value live on in it.
 */
export class TagStamps {
  readonly #bento: BentoCacheLike;
  readonly #clock: LogicalClock;
  /**
   * By this process's clock. Guards what a first level would miss: an answer of the second level that was sent before
   * the invalidation and arrives after it, and a clock that is behind this one.
   */
  readonly #recent = new Map<string, number>();

  constructor(bento: BentoCacheLike, clock: LogicalClock) {
    this.#bento = bento;
    this.#clock = clock;
    bento.on?.('bus:message:received', ({ message }) => {
      for (const key of message.keys) if (key.startsWith(STAMP)) this.#note(key, clock.now());
    });
  }

  /** This process knows at once, the others once it resolves and the bus has told them. */
  async invalidate(tags: Iterable<Tag>): Promise<void> {
    const now = this.#clock.now();
    await Promise.all(Array.from(tags, (tag) => this.#stamp(stampKey(tag), now)));
  }

  /** Whether one of the tags was invalidated at or after an instant. */
  async isInvalidated(tags: readonly Tag[], since: number): Promise<boolean> {
    if (tags.length === 1) return (await this.read(stampKey(tags[0]!))) >= since;
    const stamps = await Promise.all(tags.map((tag) => this.read(stampKey(tag))));
    return stamps.some((stamp) => stamp >= since);
  }

  /** 0 where there is none; the first level remembers that, too. */
  async read(key: string): Promise<number> {
    const stored = await this.#bento.getOrSet({
      key,
      ttl: STAMP_MS,
      grace: false,
      skipL2Write: true,
      skipBusNotify: true,
      // Without a second level, what the bus has expired is still the latest that there is.
      factory: ({ gracedEntry }) => Math.max(instant(gracedEntry?.value), this.#recent.get(key) ?? 0),
    });
    const stamp = Math.max(instant(stored), this.#recent.get(key) ?? 0);
    this.#clock.observe(stamp);
    return stamp;
  }

  /** A second level that fails says so, instead of being passed over. */
  #stamp(key: string, now: number): Promise<boolean> {
    this.#note(key, now);
    return this.#write(key, now, 1);
  }

  /** What could not be written is written later, for as long as this process lives: others go by it. */
  async #write(key: string, now: number, attempt: number): Promise<boolean> {
    try {
      return await this.#bento.set({ key, value: now, ttl: STAMP_MS, grace: false, suppressL2Errors: false });
    } catch (error) {
      const again = (): void => {
        if (this.#recent.get(key) === now) this.#write(key, now, attempt + 1).catch(() => undefined);
      };
      setTimeout(again, Math.min(1_000 * 2 ** (attempt - 1), LONGEST_RETRY_MS)).unref();
      throw error;
    }
  }

  #note(key: string, now: number): void {
    this.#recent.delete(key);
    this.#recent.set(key, now);
    if (this.#recent.size > RECENT) this.#recent.delete(this.#recent.keys().next().value!);
  }
}

const instant = (stored: unknown): number => (typeof stored === 'number' ? stored : 0);
