import type { Dictionary, EntityMetadata, EntityProperty, MetadataStorage, MikroORM } from '@mikro-orm/core';
import { isMysql } from './platform.ts';

/** The class of an embedded object; undefined where its discriminator names none of several. */
export function embeddableOf(property: EntityProperty, data: unknown): EntityMetadata | undefined {
  const base = property.targetMeta!;
  if (base.polymorphs === undefined) return base;
  const column = base.discriminatorColumn;
  const value = column === undefined ? undefined : (data as Dictionary | null)?.[column];
  return base.polymorphs.find((candidate) => candidate.discriminatorValue === value);
}

/** The key's columns, foreign keys flattened to the columns they point to. */
export const keyProperties = (metadata: EntityMetadata): EntityProperty[] => metadata.getPrimaryProps(true);

/** Its rows are in many schemas, as one per tenant. */
export const spansSchemas = (metadata: EntityMetadata): boolean => metadata.schema === '*';

/** The schema a model's rows are in unless somebody says otherwise; undefined where the model lives in many (`*`). */
export function ownSchema(metadata: EntityMetadata, config: MikroORM['config']): string | undefined {
  if (spansSchemas(metadata)) return undefined;
  // The schemas of MySQL are its databases.
  return notedSchema(metadata, config) ?? (isMysql(config.getPlatform()) ? config.get('dbName') : undefined);
}

/** The schema that MikroORM notes of rows which a query has read that named none. */
export function notedSchema(metadata: EntityMetadata, config: MikroORM['config']): string | undefined {
  if (spansSchemas(metadata)) return undefined;
  return metadata.schema ?? config.get('schema') ?? config.getPlatform().getDefaultSchemaName();
}

/** Its instances are rows that a key names: no embeddable, and neither virtual nor without a primary key. */
export const hasRows = ({ embeddable, virtual, primaryKeys }: EntityMetadata): boolean =>
  embeddable !== true && virtual !== true && primaryKeys.length > 0;

/** Whether a query loads more than the rows of its class: what it names, and what is always loaded along. */
export const loadsRelations = ({ relations }: EntityMetadata, populate: readonly string[] | undefined): boolean =>
  (populate !== undefined && populate.length > 0) || relations.some(({ eager }) => eager);

/**
 * The class whose table one query reads: the root of a single-table tree where its query finds the rows of the class,
 * the class itself otherwise. A subclass with filters of its own is read by itself, because MikroORM applies only the
 * filters of the class that is queried.
 */
export function queriedClass(metadata: EntityMetadata, storage: MetadataStorage): EntityMetadata {
  const { root } = metadata;
  if (root === metadata || root.discriminatorColumn === undefined || isTablePerType(root)) return metadata;
  const isFiltered = Object.keys(metadata.filters).some((name) => !(name in root.filters));
  return isFiltered || !findsBelow(root, metadata, storage) ? metadata : root;
}

/**
 * Whether a query of the root of a single-table tree finds the rows of a class below. Where the root has rows of its own
 * MikroORM lists the classes below by their `extends`, step by step: an abstract class on the way is not seen, and
 * MikroORM 6 sees no step but by name, as decorators write it, and not by a class or a schema.
 */
function findsBelow(root: EntityMetadata, metadata: EntityMetadata, storage: MetadataStorage): boolean {
  if (root === metadata || root.discriminatorValue === undefined) return true;
  const { class: cls, className, extends: base } = metadata;
  const isListed = Object.values<unknown>(root.discriminatorMap!).some((item) => item === cls || item === className);
  if (!isListed || base === undefined) return false;
  const isFollowed = root.inheritanceType !== undefined || typeof base === 'string';
  return isFollowed && findsBelow(root, storage.find(base)!, storage);
}

/** MikroORM 7 only: each class of the tree has a table of its own. */
export const isTablePerType = (root: EntityMetadata): boolean => root.inheritanceType === 'tpt';

/** The entity classes, each after those its foreign keys point to; where they point in circles, somewhere among them. */
export function referencedFirst(orm: MikroORM): readonly unknown[] {
  const order = new Set<unknown>();
  const visited = new Set<EntityMetadata>();
  const visit = (metadata: EntityMetadata): void => {
    if (visited.has(metadata)) return;
    visited.add(metadata);
    for (const { kind, owner, targetMeta } of metadata.relations) {
      if (targetMeta !== undefined && (kind === 'm:1' || (kind === '1:1' && owner))) visit(targetMeta);
    }
    order.add(metadata.class);
  };
  for (const metadata of orm.getMetadata()) visit(metadata);
  return [...order];
}

/** Whether a query can read a class; an abstract base of classes with tables of their own has none. */
export const isQueryable = (metadata: EntityMetadata): boolean =>
  metadata.abstract !== true || metadata.root.discriminatorColumn !== undefined;

/** Paths of `populate` that name no property: all relations, and those of the condition. */
const WHOLE_PATHS: ReadonlySet<string> = new Set(['*', '$infer']);

/** True for what `em.find` takes in `populate`: `author.books`, `author:ref`, a lazy property, one of an embedded object. */
export function isPopulatable(metadata: EntityMetadata, path: string): boolean {
  if (WHOLE_PATHS.has(path)) return true;
  const [step, ...rest] = path.split('.');
  const name = step!.split(':')[0]!;
  const property = Object.hasOwn(metadata.properties, name) ? metadata.properties[name as never] : undefined;
  if (property === undefined || rest.length === 0) return property !== undefined;
  return targetsOf(property).some((target) => isPopulatable(target, rest.join('.')));
}

/** The classes that a relation points to, or that an embedded object is of; none for any other property. */
export function targetsOf(property: EntityProperty): readonly EntityMetadata[] {
  const { targetMeta, polymorphTargets } = property as EntityProperty & { polymorphTargets?: EntityMetadata[] };
  // MikroORM 7 only: one property that points to rows of several classes.
  return polymorphTargets ?? targetMeta?.polymorphs ?? (targetMeta === undefined ? [] : [targetMeta]);
}
