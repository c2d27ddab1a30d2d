import type { AnyEntity, Dictionary, EntityMetadata, EntityProperty } from '@mikro-orm/core';

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
  readonly root: string;
  readonly object: unknown;
  /** The user's values, and the objects on the way to them that are not there. */
  readonly values: readonly (readonly [path: readonly string[], value: unknown])[];
}

/** Takes note of the changed columns of embedded objects. */
export function takeInline(
  entity: AnyEntity,
  metadata: EntityMetadata,
  roots: ReadonlySet<string>,
  changes: ReadonlySet<string>,
): Taken[] {
  return Array.from(roots, (root) => {
    const paths = columnsOf(metadata, root).flatMap(({ name, path }) => (changes.has(name) ? [path] : []));
    const values = paths.map((path) => {
      const missing = path.findIndex((_, end) => end > 0 && valueAt(entity, path.slice(0, end)) == null);
      const end = missing < 0 ? path.length : missing;
      return [path.slice(0, end), valueAt(entity, path.slice(0, end))] as const;
    });
    return { root, object: (entity as Dictionary)[root] as unknown, values };
  });
}

/** Puts them back into embedded objects that a row has been read into, which stay the same objects. */
export function restoreInline(
  entity: AnyEntity,
  metadata: EntityMetadata,
  taken: readonly Taken[],
  changes: ReadonlySet<string>,
): void {
  for (const { root, object, values } of taken) {
    const fresh = (entity as Dictionary)[root] as unknown;
    if (object != null && fresh != null && fresh !== object) {
      for (const { name, path } of columnsOf(metadata, root)) {
        if (!changes.has(name)) setAt({ [root]: object }, path, valueAt({ [root]: fresh }, path));
      }
    }
    (entity as Dictionary)[root] = object;
    for (const [path, value] of values) setAt(entity, path, value);
  }
}

function setAt(holder: object, path: readonly string[], value: unknown): void {
  const target = valueAt(holder, path.slice(0, -1)) as Dictionary | null | undefined;
  if (target != null) target[path.at(-1)!] = value;
}

/** The columns of an embedded object, however deep. */
function columnsOf(metadata: EntityMetadata, root: string): { readonly name: string; readonly path: string[] }[] {
  return metadata.props.flatMap((property) => {
    if (property.embedded === undefined || (property.kind === 'embedded' && property.object !== true)) return [];
    const path = pathOf(metadata, property.name);
    return path[0] === root ? [{ name: property.name, path }] : [];
  });
}
