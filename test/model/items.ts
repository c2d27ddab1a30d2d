/** The oracle's page on collections: which rows may be in one after a revive. */
import type { AnyEntity } from '@mikro-orm/core';
import type { DeserializeOptions } from 'mikro-orm-byref';
import { keyOf, keyOfView } from './asked.ts';
import { idOf, type Many, type Text, textOf } from './fields.ts';
import type { Rows, View, Views } from './world.ts';

/** What a revive does with an entity. */
export type Role =
  /** It is as its row is now, but for what the user has changed. */
  | 'read'
  /** A query may have met it: each value is as it was, or as it is now. */
  | 'met';

/** What the oracle knows. Keys are `root id`, of collections `root id name`. */
interface Facts {
  readonly rows: Rows;
  readonly before: Views;
  /** Pivot rows that the user has added, by column. */
  readonly links: readonly Record<string, number>[];
  readonly unflushed: DeserializeOptions['unflushed'];
  /** What the user has changed. */
  readonly changes: ReadonlyMap<AnyEntity, ReadonlySet<string>>;
  readonly managed: ReadonlyMap<string, View>;
  readonly roles: ReadonlyMap<string, Role>;
  /** Collections that `populate` names, of rows that are read. */
  readonly loaded: ReadonlySet<string>;
  /** The same, of rows that `populate` meets only where MikroORM follows what the user has set. */
  readonly perhaps: ReadonlySet<string>;
  isKept(key: string): boolean;
  isRemoved(view: View | undefined): boolean;
  /** Whether a row may come in. */
  admits(root: string, id: number): boolean;
}

export class Items {
  readonly #facts: Facts;

  constructor(facts: Facts) {
    this.#facts = facts;
  }

  /** The rows of a collection, as far as they may come in. */
  #rowsOf(id: number, many: Many): number[] {
    return this.#facts.rows.items(id, many).filter((item) => this.#facts.admits(many.target, item));
  }

  /** The rows that the user has put into a collection, loaded or not. */
  putInto(id: number, many: Many | undefined): number[] {
    if (many === undefined) return [];
    const { pivot, by, target } = many;
    if (pivot !== undefined)
      return this.#facts.links.flatMap((link) => (link[pivot.own] === id ? link[pivot.other]! : []));
    return [...this.#facts.before.values()].flatMap(({ entity, model, fields }) => {
      const side = model.fields.find(({ column, role }) => column === by && role === 'relation');
      return model.root === target && side !== undefined && fields.get(side.name) === textOf(id) ? idOf(entity) : [];
    });
  }

  /** What the user has removed is in a collection that is loaded, or not. */
  #withoutRemoved(items: Text, { target }: Many): Text {
    if (items === undefined) return undefined;
    const isThere = (item: number): boolean => !this.#facts.isRemoved(this.#facts.managed.get(keyOf(target, item)));
    return textOf((JSON.parse(items) as number[]).filter(isThere));
  }

  allowed(view: View, many: Many, was: Text, role: Role | undefined): Text[] {
    return this.#allowed(view, many, was, role).flatMap((items) => [items, this.#withoutRemoved(items, many)]);
  }

  #allowed(view: View, many: Many, was: Text, role: Role | undefined): Text[] {
    const key = keyOf(view.model.root, idOf(view.entity));
    const isSure = this.#facts.loaded.has(`${key} ${many.name}`);
    if (!isSure && !this.#facts.perhaps.has(`${key} ${many.name}`)) {
      return was === undefined ? [was] : [...this.#told(view, many, was), this.#itemsWithChanges(view, many)];
    }
    const loaded = this.#loaded(view, many);
    // Of a row that was refused, what is here already may be in it.
    if (!isSure) return [was, ...loaded, ...new Items({ ...this.#facts, admits: () => true }).#loaded(view, many)];
    if (role !== 'read') return was === undefined ? loaded : [was, ...loaded];
    const stay = this.#itemsThatStay(view, many);
    const isMine = this.#facts.changes.get(view.entity)?.has(many.name) === true;
    if (this.#facts.unflushed === 'overwrite') return [stay];
    if (isMine) return [was];
    return [textOf(this.#rowsOf(idOf(view.entity), many)), stay, this.#itemsWithChanges(view, many)];
  }

  #loaded(view: View, many: Many): Text[] {
    const now = textOf(this.#rowsOf(idOf(view.entity), many));
    return [now, this.#itemsThatStay(view, many), this.#itemsWithKept(view, many), this.#itemsWithChanges(view, many)];
  }

  /** MikroORM tells the other side what it loads on the one: items that are read go in and out of a loaded collection. */
  #told(view: View, many: Many, was: string): Text[] {
    const held = JSON.parse(was) as number[];
    const items = this.#facts.rows.items(idOf(view.entity), many);
    let told = [held];
    for (const item of new Set([...held, ...items])) {
      if (held.includes(item) === items.includes(item) || !this.#facts.roles.has(keyOf(many.target, item))) continue;
      told = [
        ...told,
        ...told.map((each) => each.filter((other) => other !== item).concat(items.includes(item) ? item : [])),
      ];
    }
    return told.map((each) => textOf(each.sort((a, b) => a - b)));
  }

  /** The rows of a collection, without those whose own foreign key says otherwise and stays. */
  #itemsThatStay({ entity }: View, many: Many): Text {
    const id = idOf(entity);
    return textOf(this.#rowsOf(id, many).filter((item) => !this.isOfOthers(item, id, many)));
  }

  isOfOthers(item: number, id: number, { target, by }: Many): boolean {
    const other = this.#facts.managed.get(keyOf(target, item));
    const side = other?.model.fields.find(({ column, role }) => column === by && role === 'relation');
    const held = side === undefined ? undefined : other!.fields.get(side.name);
    if (held === undefined || held === textOf(id)) return false;
    const spares = this.#facts.unflushed !== 'overwrite';
    return this.#facts.isKept(keyOfView(other!)) || (spares && this.#facts.changes.get(other!.entity)!.has(side!.name));
  }

  /** The same, and those that are kept and whose own foreign key says that they are in it. */
  #itemsWithKept(view: View, many: Many): Text {
    const items = new Set(JSON.parse(this.#itemsThatStay(view, many)!) as number[]);
    for (const other of this.#facts.managed.values()) {
      const side = other.model.fields.find(({ column, role }) => column === many.by && role === 'relation');
      const isIn = side !== undefined && other.fields.get(side.name) === textOf(idOf(view.entity));
      if (other.model.root === many.target && isIn && this.#facts.isKept(keyOfView(other)))
        items.add(idOf(other.entity));
    }
    return textOf([...items].sort((a, b) => a - b));
  }

  /** The rows of a collection, and what the user has put in or taken out from the items' side. */
  #itemsWithChanges(view: View, many: Many): Text {
    const id = idOf(view.entity);
    const items = new Set(this.#rowsOf(id, many));
    for (const { entity, model, fields, many: collections } of this.#facts.before.values()) {
      if (model.root !== many.target) continue;
      const side =
        many.pivot === undefined
          ? model.fields.find(({ column, role }) => column === many.by && role === 'relation')
          : model.many.find(({ pivot }) => pivot !== undefined);
      if (side === undefined || !this.#facts.changes.get(entity)!.has(side.name)) continue;
      const points = [JSON.parse(fields.get(side.name) ?? collections.get(side.name) ?? 'null')].flat() as unknown[];
      if (points.includes(id)) items.add(idOf(entity));
      else items.delete(idOf(entity));
    }
    const { pivot } = many;
    for (const link of pivot === undefined ? [] : this.#facts.links) {
      if (link[pivot!.own] === id && !this.#isDropped(pivot!, link)) items.add(link[pivot!.other]!);
    }
    return textOf([...items].sort((a, b) => a - b));
  }

  /** Whether the user has taken out again what they have put into a collection that is loaded. */
  #isDropped({ own, other }: NonNullable<Many['pivot']>, link: Record<string, number>): boolean {
    return [...this.#facts.before.values()].some(({ entity, model, many }) =>
      model.many.some(({ name, pivot }) => {
        const items = many.get(name);
        if (pivot === undefined || items === undefined || link[pivot.own] !== idOf(entity)) return false;
        return [own, other].includes(pivot.own) && !(JSON.parse(items) as number[]).includes(link[pivot.other]!);
      }),
    );
  }
}
