import type { AnyEntity, EntityManager, EntityMetadata, EntityProperty, Platform } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { loadsRelations, targetsOf } from './metadata.ts';
import { type ComparedKeys, RespelledIndex } from './respelled-index.ts';

/** What a query reads. */
export interface QueriedRows {
  readonly metadata: EntityMetadata;
  /** The relations, and lazy properties, that it loads along with those that are always loaded. */
  readonly populate: readonly string[] | undefined;
}

type KeysOf = (root: EntityMetadata, platform: Platform) => ComparedKeys;

interface UnitOfWork {
  getById(name: unknown, id: unknown, schema?: string, isDatabaseForm?: boolean): AnyEntity | undefined;
}

const within = new AsyncLocalStorage<true>();

/** How many queries under way have the `getById` of a unit of work replaced. */
const replaced = new WeakMap<UnitOfWork, number>();

/**
 * Runs a query whose rows, and the references in them, meet the entities that are managed already where MikroORM does
 * not find these: it goes by the text of a key, which is one for a Date, a padded text or a time that the application
 * has assigned, and another for what the driver reads. A second object would stand for the same row, and what is changed
 * on the first would never be written.
 */
export function meetingManaged<T>(
  em: EntityManager,
  { metadata, populate }: QueriedRows,
  keysOf: KeysOf,
  query: () => Promise<T>,
): Promise<T> {
  const alone = loadsRelations(metadata, populate) ? undefined : metadata;
  return meetsRespelled(em, alone, keysOf) ? meeting(em, keysOf, query) : query();
}

async function meeting<T>(em: EntityManager, keysOf: KeysOf, query: () => Promise<T>): Promise<T> {
  const unit = em.getUnitOfWork(false) as unknown as UnitOfWork;
  const others = replaced.get(unit) ?? 0;
  replaced.set(unit, others + 1);
  if (others === 0) replaceGetById(em, unit, keysOf);
  try {
    return await within.run(true, query);
  } finally {
    const left = replaced.get(unit)! - 1;
    replaced.set(unit, left);
    if (left === 0) delete (unit as Partial<UnitOfWork>).getById;
  }
}

/** A memo: what it holds follows from its key alone. */
const respelled = new WeakMap<object, boolean>();

/** Whether any key that rows of a class bring, or of the whole ORM where relations are loaded, has more spellings than one. */
function meetsRespelled(em: EntityManager, alone: EntityMetadata | undefined, keysOf: KeysOf): boolean {
  const all = em.getMetadata() as unknown as Iterable<EntityMetadata>;
  const key = alone ?? all;
  let meets = respelled.get(key);
  if (meets === undefined) {
    const met = alone === undefined ? Array.from(all) : [...metByRows(alone, all)];
    meets = met.some(({ root, primaryKeys }) => primaryKeys.length > 0 && keysOf(root, em.getPlatform()).isRespelled);
    respelled.set(key, meets);
  }
  return meets;
}

/** The classes of which rows of one class have the keys: its own tree, what their foreign keys point to, and what those of these keys do. */
function metByRows(metadata: EntityMetadata, all: Iterable<EntityMetadata>): Set<EntityMetadata> {
  const tree = Array.from(all).filter(({ root }) => root === metadata.root);
  const met = new Set(tree);
  const follow = (properties: readonly EntityProperty[]): void => {
    for (const property of properties) {
      if (!['m:1', '1:1', 'embedded'].includes(property.kind)) continue;
      for (const target of targetsOf(property)) {
        if (met.has(target)) continue;
        met.add(target);
        follow(property.kind === 'embedded' ? target.props : target.getPrimaryProps());
      }
    }
  };
  for (const { props } of tree) follow(props);
  return met;
}

function replaceGetById(em: EntityManager, unit: UnitOfWork, keysOf: KeysOf): void {
  const { getById } = unit;
  unit.getById = (name, id, schema, isDatabaseForm = false) => {
    const found = getById.call(unit, name, id, schema, isDatabaseForm);
    if (found !== undefined || id === undefined || id === null || within.getStore() === undefined) return found;
    const root = em.getMetadata().find(name as never)?.root as EntityMetadata | undefined;
    if (root === undefined) return undefined;
    const keys = keysOf(root, em.getPlatform());
    if (!keys.isRespelled) return undefined;
    const parts = Array.isArray(id) ? (id.flat(Infinity) as unknown[]) : [id];
    // Rows are looked up by a single key as the driver has it; the parts of a composite one, and what a foreign key
    // points to, as properties hold them.
    const isHeld = !isDatabaseForm && root.compositePK;
    let raw: readonly unknown[] = isHeld ? databaseForm(em, root, parts) : parts;
    let canonical = keys.canonicalOfRaw(raw);
    if (canonical === undefined && !isHeld) canonical = keys.canonicalOfRaw((raw = databaseForm(em, root, parts)));
    if (canonical === undefined) return undefined;
    return RespelledIndex.find(em, root, keys, { parts: raw, canonical }, schema);
  };
}

/** The managed entity of a row, by its key in database form and however the application has spelled that. */
export function managedByKey(
  em: EntityManager,
  { class: model, root }: EntityMetadata,
  keys: ComparedKeys,
  { value, canonical }: { readonly value: unknown; readonly canonical: string },
  schema: string | undefined,
): AnyEntity | undefined {
  const unit = em.getUnitOfWork(false) as unknown as UnitOfWork;
  const found = unit.getById(model, value, schema, true);
  if (found !== undefined && keys.canonicalOf(found) === canonical) return found;
  if (!keys.isRespelled) return undefined;
  const parts = Array.isArray(value) ? (value as unknown[]) : [value];
  return RespelledIndex.find(em, root, keys, { parts, canonical }, schema);
}

function databaseForm(em: EntityManager, root: EntityMetadata, held: readonly unknown[]): unknown[] {
  const platform = em.getPlatform();
  return root
    .getPrimaryProps(true)
    .map(({ customType }, index) =>
      customType === undefined ? held[index] : (customType.convertToDatabaseValue(held[index], platform) as unknown),
    );
}
