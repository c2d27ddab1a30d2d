import { isOpen, type Stamp } from './stamp.ts';
import type { TagStamps } from './tag-stamps.ts';
import type { FoundRow, Tag } from './tags.ts';

/** What a value hangs on, with the stamps that its tags had when its factory began. */
export type Stamps = Readonly<Record<Tag, Stamp>>;

/**
 * Reads stamps before a factory and swears after it to what they were when it began, without a clock: stamps are
 * compared for equality, and never come back.
 *
 * Which rows there will be in a value nobody knows before. The stamp of such a row is read afterwards, and is that of
 * before where those of its models are: whoever invalidates a row opens its models first.
 */
export class Witness {
  readonly #stamps: TagStamps;
  readonly #before: ReadonlyMap<Tag, Stamp>;

  static async of(stamps: TagStamps, tags: Iterable<Tag>): Promise<Witness> {
    const read = async (tag: Tag) => [tag, await stamps.read(tag)] as const;
    return new Witness(stamps, new Map(await Promise.all(Array.from(new Set(tags), read))));
  }

  private constructor(stamps: TagStamps, before: ReadonlyMap<Tag, Stamp>) {
    this.#stamps = stamps;
    this.#before = before;
  }

  /**
   * The stamps of tags that were read before, and of rows; undefined where something may have been invalidated since
   * the factory began, or, in a transaction, since there were `place` sightings of stamps.
   */
  async swear(tags: Iterable<Tag>, rows: readonly FoundRow[], place: number | undefined): Promise<Stamps | undefined> {
    const found = rows.filter(({ tag }) => !this.#before.has(tag));
    const sealing = new Set(found.flatMap(({ models }) => models));
    const known = [...tags, ...rows.flatMap(({ tag }) => (this.#before.has(tag) ? [tag] : []))];
    for (const tag of [...known, ...sealing]) if (!this.#held(tag, place)) return undefined;
    const after = await Promise.all(found.map(async ({ tag }) => [tag, await this.#stamps.read(tag)] as const));
    if (after.some(([, stamp]) => isOpen(stamp))) return undefined;
    const isSealed = async (tag: Tag) => (await this.#stamps.readAnew(tag)) === this.#before.get(tag);
    if ((await Promise.all(Array.from(sealing, isSealed))).includes(false)) return undefined;
    return Object.fromEntries([...known.map((tag) => [tag, this.#before.get(tag)!] as const), ...after]);
  }

  #held(tag: Tag, place: number | undefined): boolean {
    const stamp = this.#before.get(tag);
    if (stamp === undefined || isOpen(stamp)) return false;
    return place === undefined || this.#stamps.wasSeen(tag, stamp, place);
  }
}
