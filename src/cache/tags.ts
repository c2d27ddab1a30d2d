import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { rowBody } from '../models/entity-reference.ts';
import type { Model, ModelRegistry } from '../models/model-registry.ts';
import type { EntityType } from '../orm/entity-class.ts';
import { identityOf } from '../wire/token.ts';

/** What an entry hangs on: a row, by the root of its inheritance tree, or any row of a model. */
export type Tag = string;

/** A row in a value, and the models whose tags are invalidated whenever it is. */
export interface FoundRow {
  readonly tag: Tag;
  readonly models: readonly Tag[];
}

export const modelTag = ({ name }: Model): Tag => `model:${name}`;

/** The tags of classes with their subclasses. Throws E_INVALID_OPTION for a class that the ORM does not know. */
export const modelTags = (registry: ModelRegistry, classes: readonly EntityType[]): Tag[] =>
  Array.from(registry.admittedBy(classes, 'option dependsOn'), modelTag);

/** The tags of all models by the root of their inheritance tree. */
export type ModelTrees = ReadonlyMap<string, readonly Tag[]>;

export function modelTrees(registry: ModelRegistry): ModelTrees {
  const trees = new Map<string, Tag[]>();
  for (const metadata of registry.orms.flatMap((orm) => [...orm.getMetadata()])) {
    const model = registry.modelOf(metadata.class);
    if (model !== undefined) trees.set(model.rootName, [...(trees.get(model.rootName) ?? []), modelTag(model)]);
  }
  return trees;
}

/** An entity's row as what a value hangs on; undefined where no payload could name it. */
export function foundRow(registry: ModelRegistry, trees: ModelTrees, entity: AnyEntity): FoundRow | undefined {
  const tag = rowTag(registry, entity);
  if (tag === undefined) return undefined;
  return { tag, models: trees.get(registry.modelOf(entity.constructor)!.rootName)! };
}

/** The tag of an entity's row; undefined where no payload could name it. */
export function rowTag(registry: ModelRegistry, entity: AnyEntity): Tag | undefined {
  const model = registry.modelOf(entity.constructor);
  if (model === undefined) return undefined;
  try {
    return `row:${JSON.stringify(identityOf(rowBody(entity, { ...model, name: model.rootName })))}`;
  } catch (error) {
    if (error instanceof ByReferenceError) return undefined;
    throw error;
  }
}
