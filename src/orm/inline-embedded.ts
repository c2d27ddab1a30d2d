import type { AnyEntity, Dictionary, EntityMetadata, EntityProperty } from '@mikro-orm/core';
import { nullOf } from './entity.ts';
import { memo } from './memo.ts';

/** Embedded objects whose properties are columns of the owner's own table, each of which changes by itself. */

/** The property that holds the embedded object a column belongs to; undefined for a column of the entity's own. */
export function inlineRoot(metadata: EntityMetadata, name: string): string | undefined {
  const [root, ...rest] = pathOf(metadata, name);
  return rest.length > 0 ? root : undefined;
}

/** Where an entity holds a column: `['address', 'street']`. */
export function pathOf(metadata: EntityMetadata, column: string): string[] {
  const embedded = metadata.properties[column as never]?.['embedded'] as EntityProperty['embedded'];
  if (embedded === undefined) return [column];
  const [parent, name] = embedded;
  return [...pathOf(metadata, parent), name];
}

export function valueAt(holder: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => (value as Dictionary | null | undefined)?.[name], holder);
}

/** What of an entity's embedded objects is to stay. */
export interface Taken {
  /** The objects that hold changed columns, by path, outer ones first; null where the user has set that. */
  readonly objects: readonly At[];
  /** The columns that stay: those that are changed, and all of an object that the user has set to null. */
  readonly columns: ReadonlySet<string>;
  readonly values: readonly At[];
}
type At = readonly [path: readonly string[], value: unknown];

/** Takes note of what the user has changed in embedded objects. */
export function takeInline(entity: AnyEntity, metadata: EntityMetadata, changes: ReadonlySet<string>): Taken {
  const paths = new Map<string, readonly string[]>();
  for (const name of changes) {
    const path = pathOf(metadata, name);
    for (let end = 1; end < path.length; end++) paths.set(path.slice(0, end).join('.'), path.slice(0, end));
  }
  const objects = [...paths.values()]
    .sort((a, b) => a.length - b.length)
    .map((path): At => [path, valueAt(entity, path)]);
  const gone = objects.flatMap(([path, value]) => (value == null ? [path] : []));
  const columns = new Set<string>();
  const values: At[] = [];
  for (const { name, path } of objects.length === 0 ? [] : inlineColumns(metadata)) {
    if (!changes.has(name) && !gone.some((start) => isBelow(path, start))) continue;
    columns.add(name);
    values.push([path, valueAt(entity, path)]);
  }
  return { objects, columns, values };
}

/** Puts it back into embedded objects that a row has been read into, which stay the same objects. */
export function restoreInline(
  entity: AnyEntity,
  metadata: EntityMetadata,
  { objects, columns, values }: Taken,
  row: Dictionary,
  before: Dictionary,
): void {
  const fresh = inlineColumns(metadata).flatMap(({ name, path }): At[] =>
    name in row && !columns.has(name) ? [[path, row[name] === null ? nullOf(entity) : valueAt(entity, path)]] : [],
  );
  for (const [path, object] of objects) setAt(entity, path, object);
  for (const { path, columns: own } of inlineObjects(metadata)) {
    const value = valueAt(entity, path);
    // Nor does it make one null of which it does not know, in one that the user has made.
    if (value === undefined && own.every((name) => row[name] === null)) setAt(entity, path, nullOf(entity));
    // One that stays null would have a flush write NULL to what nobody has read, or has as undefined.
    const isUnread = own.some((name) => !(name in row) && before[name] !== null);
    const isUsers = own.some((name) => columns.has(name));
    if (value === null && !isUsers && (isUnread || nullOf(entity) === undefined)) setAt(entity, path, undefined);
  }
  // MikroORM leaves an object as it was where all is NULL that it has selected of it, and something lazy is not.
  for (const [path, value] of fresh) if (objects.length > 0 || value == null) setAt(entity, path, value);
  for (const [path, value] of values) setAt(entity, path, value);
}

const isBelow = (path: readonly string[], start: readonly string[]): boolean =>
  start.every((step, index) => path[index] === step);

export function setAt(holder: object, path: readonly string[], value: unknown): void {
  const target = valueAt(holder, path.slice(0, -1)) as Dictionary | null | undefined;
  if (target != null) target[path.at(-1)!] = value;
}

interface InlineColumn {
  readonly name: string;
  readonly path: readonly string[];
}

/** The columns of embedded objects, however deep. */
const inlineColumns = memo((metadata: EntityMetadata): readonly InlineColumn[] =>
  metadata.props.flatMap(({ name, embedded, kind, object }) =>
    embedded === undefined || isJson(metadata, embedded[0]) || (kind === 'embedded' && object !== true)
      ? []
      : [{ name, path: pathOf(metadata, name) }],
  ),
);

/** MikroORM lists the members of what is in JSON as well; with its objects, all below them are in JSON. */
const isJson = (metadata: EntityMetadata, name: string): boolean => {
  const { object, array } = metadata.properties[name as never] as EntityProperty;
  return object === true || array === true;
};

interface InlineObject {
  readonly path: readonly string[];
  /** All that are in it, however deep. */
  readonly columns: readonly string[];
}

/** Outer ones first. */
const inlineObjects = memo((metadata: EntityMetadata): readonly InlineObject[] => {
  const columns = inlineColumns(metadata);
  const paths = new Map(columns.map(({ path }) => [path.slice(0, -1).join('.'), path.slice(0, -1)]));
  return [...paths.values()]
    .sort((a, b) => a.length - b.length)
    .map((path) => ({
      path,
      columns: columns.filter((column) => isBelow(column.path, path)).map(({ name }) => name),
    }));
});
