import type { BentoCacheLike } from './bento-like.ts';
import { STAMP, stampKey } from './cache-key.ts';
import { FIRST_LEVEL, forgetCopy, type Levels, levelsOf } from './levels.ts';
import { isOpen, newOpenStamp, newStamp, type Stamp, UNCONFIRMED } from './stamp.ts';
import type { Tag } from './tags.ts';

/** How long a stamp is kept. One that is gone, by time or by want of room, is another one when it is read again. */
export const STAMP_MS = 30 * 24 * 3_600_000;

/** How long a first level goes by its copy of a stamp: what a lost message of the bus costs. */
export const COPY_MS = 5_000;

/** How long a transaction may take to commit: afterwards what it has opened is closed by whoever meets it. */
export const OPEN_MS = 30_000;

/** Tags of which it is known since when their stamp is what it is. */
const RECENT = 100_000;

const LONGEST_RETRY_MS = 60_000;

/** A read of the store that is under way. */
interface Read {
  readonly answer: Promise<Stamp>;
  /** Something was heard of the tag since it was sent, and it may not know. */
  isOutdated: boolean;
}

interface Sighting {
  readonly stamp: Stamp;
  /** Its place among the sightings of this process. */
  readonly place: number;
  /** Milliseconds, by a clock that only runs forward. */
  readonly at: number;
}

/**
 * The stamps of tags, kept in the cache's own store: its second level and its bus carry them to other processes.
 * bentocache's tags are no use here: they compare the times of two machines, date a value when it is stored and not
 * when its factory began to read, and where there is a grace period, they let the value live on in it.
 */
export class TagStamps {
  readonly levels: () => Promise<Levels>;
  readonly #bento: BentoCacheLike;
  readonly #now: () => number;
  /**
   * What this process has written, until the store has confirmed it. Nothing hangs on it before: it may arrive there
   * after what another process writes later.
   */
  readonly #ahead = new Map<string, Stamp>();
  readonly #reads = new Map<string, Read>();
  readonly #sightings = new Map<string, Sighting>();
  #places = 0;
  /** What could not be written. */
  readonly #unwritten = new Set<Tag>();
  #retries = 0;

  constructor(bento: BentoCacheLike, now = (): number => performance.now()) {
    this.levels = levelsOf(bento);
    this.#bento = bento;
    this.#now = now;
    bento.on?.('bus:message:received', ({ message: { keys } }) => {
      // Without keys it clears the whole cache.
      for (const key of keys.length === 0 ? this.#reads.keys() : keys) if (key.startsWith(STAMP)) this.#outdate(key);
    });
  }

  /** The place of the last sighting. */
  get place(): number {
    return this.#places;
  }

  read(tag: Tag): Promise<Stamp> {
    const key = stampKey(tag);
    if (this.#ahead.has(key)) return Promise.resolve(UNCONFIRMED);
    return this.#reads.get(key)?.answer ?? this.#start(tag, key);
  }

  /** Past the copy of the first level, and past reads that were sent before. */
  async readAnew(tag: Tag): Promise<Stamp> {
    const key = stampKey(tag);
    this.#outdate(key);
    if (await this.#hasSecond()) await forgetCopy(this.#bento, key);
    return this.read(tag);
  }

  /** Whether a tag had this stamp already when there were so many sightings: stamps never come back. */
  wasSeen(tag: Tag, stamp: Stamp, place: number): boolean {
    const sighting = this.#sightings.get(stampKey(tag));
    return sighting?.stamp === stamp && sighting.place <= place;
  }

  /** To be confirmed before the transaction commits that has changed them. Throws what the store does. */
  open(tags: Iterable<Tag>): Promise<void> {
    return this.#write(tags, newOpenStamp);
  }

  /**
   * For what is changed: ends what `open` has begun. This process knows at once, the others once it resolves and the bus
   * has told them. All are opened once more before one is closed, as a transaction that overlaps may have closed some
   * since: who sees the new stamp of a row sees that its model has another one, too. Throws what the store does, and
   * tries again later, for as long as this process lives: others go by it.
   */
  async close(tags: ReadonlySet<Tag>): Promise<void> {
    try {
      await this.open(tags);
      await this.#write(tags, newStamp);
    } catch (error) {
      this.#writeLater(tags);
      throw error;
    }
  }

  #start(tag: Tag, key: string): Promise<Stamp> {
    const read = { isOutdated: false } as { -readonly [Name in keyof Read]: Read[Name] };
    read.answer = this.#fetch(tag, key, read);
    this.#reads.set(key, read);
    return read.answer;
  }

  /** An answer that was sent before an invalidation and arrives after it would stay in the first level. */
  async #fetch(tag: Tag, key: string, read: Read): Promise<Stamp> {
    try {
      for (;;) {
        const stored = await this.#bento.get({ key, ttl: COPY_MS, grace: false });
        const stamp = typeof stored === 'string' ? stored : await this.#create(key);
        if (!read.isOutdated) {
          this.#sight(tag, key, stamp);
          return stamp;
        }
        if (await this.#hasSecond()) await forgetCopy(this.#bento, key);
        read.isOutdated = false;
        if (this.#ahead.has(key)) return UNCONFIRMED;
      }
    } finally {
      this.#reads.delete(key);
    }
  }

  /** Random, because the one that was there before must not be good again. */
  async #create(key: string): Promise<Stamp> {
    const stamp = newStamp();
    await this.#put(key, stamp, {});
    return stamp;
  }

  async #write(tags: Iterable<Tag>, makeStamp: () => Stamp): Promise<void> {
    const stamps = Array.from(tags, (tag) => [stampKey(tag), makeStamp()] as const);
    for (const [key, stamp] of stamps) {
      this.#ahead.set(key, stamp);
      this.#outdate(key);
    }
    // A second level that fails says so, instead of being passed over.
    const puts = stamps.map(([key, stamp]) => this.#put(key, stamp, { suppressL2Errors: false }));
    const failure = (await Promise.allSettled(puts)).find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
    for (const [key, stamp] of stamps) if (this.#ahead.get(key) === stamp) this.#ahead.delete(key);
  }

  /** The first level gets a copy of its own, in the same breath: it is good for less long. */
  async #put(key: string, value: Stamp, options: { readonly suppressL2Errors?: false }): Promise<void> {
    const hasSecond = await this.#hasSecond();
    const item = { key, value, grace: false } as const;
    await Promise.all([
      this.#bento.set({ ...item, ttl: STAMP_MS, ...options }),
      hasSecond && this.#bento.set({ ...item, ttl: COPY_MS, ...FIRST_LEVEL }),
    ]);
  }

  #hasSecond(): Promise<boolean> {
    return this.levels().then(
      ({ hasSecond }) => hasSecond,
      () => true,
    );
  }

  #outdate(key: string): void {
    const read = this.#reads.get(key);
    if (read !== undefined) read.isOutdated = true;
  }

  #sight(tag: Tag, key: string, stamp: Stamp): void {
    const sighting = this.#sightings.get(key);
    if (sighting?.stamp !== stamp) {
      this.#sightings.delete(key);
      this.#sightings.set(key, { stamp, place: ++this.#places, at: this.#now() });
      if (this.#sightings.size > RECENT) this.#sightings.delete(this.#sightings.keys().next().value!);
    } else if (isOpen(stamp) && this.#now() - sighting.at > OPEN_MS) {
      this.close(new Set([tag])).catch(() => undefined);
    }
  }

  #writeLater(tags: ReadonlySet<Tag>): void {
    const isWaiting = this.#unwritten.size > 0;
    for (const tag of tags) this.#unwritten.add(tag);
    if (isWaiting) return;
    const again = (): void => {
      const unwritten = new Set(this.#unwritten);
      this.#unwritten.clear();
      this.close(unwritten).then(
        () => (this.#retries = 0),
        () => undefined,
      );
    };
    setTimeout(again, Math.min(1_000 * 2 ** this.#retries++, LONGEST_RETRY_MS)).unref();
  }
}
