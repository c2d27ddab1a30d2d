import type { AnyEntity, Dictionary, EntityMetadata, EntityProperty } from '@mikro-orm/core';
import { isObject } from '../check.ts';
import { pathOf, setAt, valueAt } from './inline-embedded.ts';
import { memo } from './memo.ts';
import { embeddableOf } from './metadata.ts';

/**
 * Takes away the embedded objects that a row can't be read into, so that MikroORM makes them anew: those in JSON that
 * have what the row has no more, and those that are of another class now. It would leave what the row does not say as it
 * was, and the next flush would write that.
 */
export function dropOutdated(entity: AnyEntity, metadata: EntityMetadata, row: Dictionary): void {
  for (const { property, path } of embeddedOf(metadata)) {
    if (!isCurrent(property, valueAt(entity, path), storedOf(property, row))) setAt(entity, path, null);
  }
}

/** What a row has of an embedded object; of one whose properties are columns, what says its class. */
function storedOf({ name, object, embeddedProps, targetMeta }: EntityProperty, row: Dictionary): unknown {
  if (object === true) {
    const stored = row[name] as unknown;
    return typeof stored === 'string' ? (JSON.parse(stored) as unknown) : stored;
  }
  const discriminator = targetMeta?.discriminatorColumn ?? '';
  const column = embeddedProps[discriminator]?.name;
  return column === undefined ? undefined : { [discriminator]: row[column] as unknown };
}

/** Whether an object becomes what is stored when that is read into it. One that is null on either side is replaced anyway. */
function isCurrent(property: EntityProperty, held: unknown, stored: unknown): boolean {
  if (!isObject(held) || !isObject(stored)) return true;
  const target = embeddableOf(property, stored);
  if (target === undefined) return true;
  if (property.targetMeta!.polymorphs !== undefined && (held as object).constructor !== target.class) return false;
  return (
    property.object !== true ||
    target.props.every((member) => isCurrentMember(member, held as Dictionary, stored as Dictionary))
  );
}

function isCurrentMember(member: EntityProperty, held: Dictionary, stored: Dictionary): boolean {
  const { name, kind, array, persist } = member;
  if (held[name] === undefined || persist === false) return true;
  if (stored[name] === undefined) return false;
  return kind !== 'embedded' || array === true || isCurrent({ ...member, object: true }, held[name], stored[name]);
}

interface Embedded {
  readonly property: EntityProperty;
  readonly path: readonly string[];
}

/** Those that a row may be read into as they are: in JSON, or of one of several classes. */
const embeddedOf = memo((metadata: EntityMetadata): readonly Embedded[] =>
  metadata.props
    .filter(({ kind, array, object, targetMeta }) => {
      const isChanging = object === true || targetMeta?.polymorphs !== undefined;
      return kind === 'embedded' && array !== true && isChanging;
    })
    .map((property) => ({ property, path: pathOf(metadata, property.name) })),
);
