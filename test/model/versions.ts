/** What tokens say of versions, and what a revive makes of them: docs/concepts/timing.md#drift. */
import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError, type Drift } from 'mikro-orm-byref';
import { modelOf } from './fields.ts';
import type { Rows, View, World } from './world.ts';

/** As it is on the wire. */
export type Token = readonly [model: string, id: number, details?: { readonly version: number }];
/** How a program names a row: with the version that it has then, or so many newer. */
export type Naming = readonly [model: string, id: number, newer?: number];

export async function tokensOf(world: World, namings: readonly Naming[]): Promise<Token[]> {
  const rows = await world.rows();
  return namings.map(([name, id, newer]) => {
    if (newer === undefined) return [name, id];
    return [name, id, { version: (versionOf(rows, name, id) ?? 2) + newer }];
  });
}

/** The version of a row; undefined where there is none, or no row. */
export function versionOf(rows: Rows, name: string, id: number): number | undefined {
  const found = rows.find(modelOf(name).root, id);
  const version = found && rows.valueOf(found, 'version');
  return version === undefined ? undefined : (JSON.parse(version) as number);
}

/** Whether a token says that its row has been written since the entity was read. */
export function isOutdated({ entity, model, fields }: View, tokens: readonly Token[]): boolean {
  const held = fields.get('version');
  if (held === undefined) return false;
  const { id: own } = entity as { id: number };
  return tokens.some(
    ([name, id, details]) =>
      id === own && modelOf(name).root === model.root && details !== undefined && details.version > JSON.parse(held),
  );
}

/** A token whose version is not that of its row. */
interface Dated {
  readonly token: Token;
  readonly current: number;
}

/** The tokens whose row is older or newer, in their order; `currentOf` is undefined where nothing is known of it. */
export function driftsOf(tokens: readonly Token[], currentOf: (token: Token) => number | undefined): Dated[] {
  return tokens.flatMap((token) => {
    const current = token[2] === undefined ? undefined : currentOf(token);
    return current === undefined || current === token[2]!.version ? [] : [{ token, current }];
  });
}

/** What they are refused with; undefined where they are not. */
export function refusalOf(drifts: readonly Dated[], drift: string | undefined): readonly [string, Token[]] | undefined {
  const early = drifts.filter(({ token, current }) => current < token[2]!.version);
  if (early.length > 0) return ['E_NOT_YET_VISIBLE', named(early)];
  return drift === 'throw' && drifts.length > 0 ? ['E_DRIFT', named(drifts)] : undefined;
}

const named = (drifts: readonly Dated[]): Token[] => distinct(drifts.map(({ token }) => token));
/** As they are in the payload, each once. */
export const distinct = (tokens: readonly Token[]): Token[] => [
  ...new Map(tokens.map((token) => [JSON.stringify(token), token])).values(),
];

/** The error that a revive was refused with, and the tokens that it names. */
export const refusalIn = (outcome: unknown): unknown =>
  outcome instanceof ByReferenceError
    ? [outcome.code, outcome.tokens?.map((token) => token.toJSON().$token)]
    : 'no error';

/** What a callback is told, or is to be. */
export const toldOf = (drifts: readonly Drift[]): unknown[] =>
  drifts.map(({ token, serialized, current }) => [token.toJSON().$token, serialized, current]);
export const tellingOf = (drifts: readonly Dated[]): unknown[] =>
  drifts.map(({ token, current }) => [token, token[2]!.version, current]);

/** The token that an entity is serialized as, or the error. */
export function serializedAs(world: World, { entity, model, fields }: View, versions: true | 'required'): unknown {
  const { id } = entity as { id: number };
  if (world.removed.has(entity)) return 'E_REMOVED';
  if (world.created.has(`${model.name} ${id}`)) return 'E_UNPERSISTED';
  const version = fields.get('version');
  if (version !== undefined) return [model.name, id, { version: JSON.parse(version) as number }];
  return versions === 'required' ? 'E_UNSERIALIZABLE' : [model.name, id];
}

/** What it is serialized as indeed. */
export function serialize({ serializer }: World, entity: AnyEntity, versions: true | 'required'): unknown {
  try {
    const { data } = serializer.encode([entity], { versions }) as never as { data: [{ $entity: Token }] };
    return data[0].$entity;
  } catch (error) {
    if (error instanceof ByReferenceError) return error.code;
    throw error;
  }
}
