import type { AnyEntity, MikroORM } from '@mikro-orm/core';
import { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { snapshotData } from '../models/snapshot.ts';
import { wrap } from '../wire/envelope.ts';
import { type JsonObject, type JsonValue, setOwn } from '../wire/json.ts';
import { EntityToken, writeKeyValue } from '../wire/token.ts';
import type { InspectOptions } from './arguments.ts';

/** A row as it is now: what a copy by value would carry. */
export interface ShownRow {
  /** The row's own model; its token may name a base class. */
  readonly model: string;
  /** In wire form, relations as tokens; neither hidden properties nor lazy ones. */
  readonly properties: JsonObject;
  /** Properties whose values have no wire form. */
  readonly omitted: readonly string[];
}

/** What is behind a token. */
export interface RowState {
  /** Unset where there is no such row, or the token may not be read. */
  readonly row?: ShownRow;
  /** The row, beside the version in the token; unset where the token or the model has none. */
  readonly drift?: 'same' | 'newer' | 'older';
  /** The row's version, in wire form. */
  readonly current?: JsonValue;
  /** What a reader of the token is refused with. */
  readonly error?: ByReferenceError;
}

/** By the token's text: tokens of one row and version have one state. */
export type RowStates = ReadonlyMap<string, RowState>;

/**
 * Reads the rows behind tokens, one query per model. A token that can't be read, for its model, its key or its schema,
 * spoils none of the others. Rejects with E_DUPLICATE_MODEL, E_INVALID_OPTION, and failures of the database as they are.
 */
export async function readRows(
  orm: MikroORM,
  tokens: readonly EntityToken[],
  { schema, filters }: Pick<InspectOptions, 'schema' | 'filters'>,
): Promise<RowStates> {
  const serializer = new EntitySerializer(orm);
  const options = {
    em: orm.em.fork(schema === undefined ? {} : { schema }),
    missing: 'throw',
    // Relations are shown as tokens: what models load along by default is not wanted here.
    populate: Object.fromEntries(serializer.registry.names.map((name) => [name, []])),
    ...(filters ? {} : { filters: false as const }),
  } as const;
  const read = (all: readonly EntityToken[], freshness: 'refresh' | 'managed') =>
    serializer.decodeAll<AnyEntity>(
      all.map((token) => wrap({ $entity: token.toBody() })),
      { ...options, freshness },
    );

  const distinct = [...new Map(tokens.map((token) => [token.toString(), token])).values()];
  const outcomes = await read(distinct, 'refresh');
  // A row older than its token is refused. It has been read all the same: without a version, the identity map has it.
  const early = distinct.filter((_, index) => codeOf(outcomes[index]!) === 'E_NOT_YET_VISIBLE');
  const kept = (await read(early.map(withoutVersion), 'managed')).values();

  const show = memoized((entity: AnyEntity) => shownRow(entity, serializer));
  const states = distinct.map((token, index): [string, RowState] => {
    const outcome = outcomes[index]!;
    const error = outcome.status === 'rejected' ? refusal(outcome) : undefined;
    const found = error?.code === 'E_NOT_YET_VISIBLE' ? kept.next().value! : outcome;
    if (found.status === 'rejected') return [token.toString(), { error: refusal(found) }];
    const state = { row: show(found.value), ...driftOf(token, found.value, serializer) };
    return [token.toString(), error === undefined ? state : { ...state, error }];
  });
  return new Map(states);
}

function driftOf(
  token: EntityToken,
  entity: AnyEntity,
  { registry }: EntitySerializer,
): Pick<RowState, 'drift' | 'current'> {
  const version = registry.find(token.model)?.version;
  const current = version?.read(entity);
  if (token.version === undefined || version === undefined || current === undefined) return {};
  const age = version.compare(current, token.version);
  const drift = age === 0 ? 'same' : age > 0 ? 'newer' : 'older';
  return version.isHidden ? { drift } : { drift, current: writeKeyValue(current) };
}

/** Property by property: one that can't be written hides none of the others. */
function shownRow(entity: AnyEntity, serializer: EntitySerializer): ShownRow {
  const properties = {};
  const omitted: string[] = [];
  for (const [name, value] of Object.entries(snapshotData(entity, () => '$'))) {
    try {
      setOwn(properties, name, (serializer.encode(value) as unknown as JsonObject)['data']);
    } catch (error) {
      if (!(error instanceof ByReferenceError)) throw error;
      omitted.push(name);
    }
  }
  return { model: serializer.registry.modelOfOrFail(entity).name, properties, omitted };
}

type Outcome = PromiseSettledResult<AnyEntity>;

const codeOf = (outcome: Outcome): unknown =>
  outcome.status === 'rejected' ? (outcome.reason as Partial<ByReferenceError> | null)?.code : undefined;

/** What a token is refused with; anything else is no matter of the token. */
function refusal({ reason }: PromiseRejectedResult): ByReferenceError {
  if (reason instanceof ByReferenceError) return reason;
  throw reason;
}

const withoutVersion = ({ model, primaryKey, schema }: EntityToken): EntityToken =>
  new EntityToken(model, primaryKey, { schema });

function memoized<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}
