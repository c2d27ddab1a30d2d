import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { channel } from 'node:diagnostics_channel';
import type { EntitySlot } from './slot.ts';
import { ByReferenceError } from './errors.ts';
import { loadRows } from './load-rows.ts';
import type { ModelRegistry } from './model-registry.ts';
import type { DeserializeOptions, Drift } from './options.ts';
import { contextOf } from './orm.ts';
import { type Reference, References, type Row } from './references.ts';
import { OMITTED } from './values/value-type.ts';

const revivals = channel('mikro-orm-byref:revive');

/** Tokens → entities: resolve, load, judge, fill in. `defaults` are the serializer's, `options` the call's. */
export async function revive(
  slots: readonly EntitySlot[],
  registry: ModelRegistry,
  globalEm: EntityManager,
  options: DeserializeOptions,
  defaults: DeserializeOptions,
): Promise<void> {
  if (slots.length === 0) return;
  const settings = settle(options, defaults);
  const em = contextOf(options.em ?? globalEm);
  refuseImpossible(em, globalEm, settings);
  if (settings.freshness === 'lazy') refuseUnseen(slots);

  const startedAt = performance.now();
  const references = new References(slots, registry, em, options, defaults);
  const queries = await loadRows(em, references.groups, settings);
  await refuseUnauthorized(references, settings.authorize);

  const missing = references.all.filter((reference) => !isThere(reference));
  const drifts = driftsOf(references.all);
  const rows = references.groups.flatMap((group) => [...group.rows.values()]);
  const report = {
    tokens: slots.length,
    rows: rows.length,
    queries,
    ms: performance.now() - startedAt,
    missing: tokensOf(missing),
    drifted: tokensOf(drifts.filter((drift) => drift.age > 0)),
    unflushed: rows.filter((row) => row.unflushed && row.entity !== undefined).map((row) => row.token),
  };
  settings.onRevive?.(report);
  if (revivals.hasSubscribers) revivals.publish(report);

  refuseMissing(missing);
  await judgeDrift(drifts, settings.drift);
  for (const reference of references.all) reference.slot.value = outcome(reference);
}

type Settings = ReturnType<typeof settle>;

function settle(options: DeserializeOptions, defaults: DeserializeOptions) {
  return {
    missing: options.missing ?? defaults.missing ?? 'throw',
    freshness: options.freshness ?? defaults.freshness ?? 'refresh',
    unflushed: options.unflushed ?? defaults.unflushed ?? 'keep',
    drift: options.drift ?? defaults.drift ?? 'ignore',
    authorize: options.authorize ?? defaults.authorize,
    onRevive: options.onRevive ?? defaults.onRevive,
    parallel: options.parallel ?? defaults.parallel,
    lockMode: options.lockMode,
  } as const;
}

function refuseImpossible(em: EntityManager, globalEm: EntityManager, settings: Settings): void {
  if (em.config !== globalEm.config) {
    throw ByReferenceError.invalidOption('option em', "an EntityManager of the serializer's own ORM", em);
  }
  if (settings.lockMode !== undefined && !em.isInTransaction()) {
    throw ByReferenceError.invalidOption(
      'option lockMode',
      'a transaction around it (em.transactional)',
      settings.lockMode,
    );
  }
  if (settings.freshness !== 'lazy') return;
  // Nothing is read, so nothing could be found missing, changed, locked or forbidden.
  for (const [name, off] of [
    ['missing', 'throw'],
    ['drift', 'ignore'],
    ['lockMode', undefined],
    ['authorize', undefined],
  ] as const) {
    if (settings[name] !== off) {
      throw ByReferenceError.invalidOption(`option ${name} with freshness: 'lazy'`, String(off), settings[name]);
    }
  }
}

/** A property may ask for what a lazy reference can't know, too. */
function refuseUnseen(slots: readonly EntitySlot[]): void {
  const missing = slots.find(({ declared }) => (declared?.missing ?? 'throw') !== 'throw')?.declared?.missing;
  if (missing === undefined) return;
  throw ByReferenceError.invalidOption("option missing of a property with freshness: 'lazy'", 'throw', missing);
}

async function refuseUnauthorized(references: References, authorize: DeserializeOptions['authorize']): Promise<void> {
  if (authorize === undefined) return;
  for (const group of references.groups) {
    for (const row of group.rows.values()) {
      // From here on a refused row is a missing one: same error, same report.
      if (row.entity !== undefined && !(await authorize(row.entity, row.token))) row.entity = row.read = undefined;
    }
  }
}

/** A row whose discriminator says another class now is not what the token named; an unread one is taken at its word. */
const isThere = ({ row, model }: Reference): boolean =>
  row.entity !== undefined && (row.read === undefined || row.read instanceof model.class);

interface DatedReference extends Reference {
  readonly serialized: number | Date;
  readonly current: number | Date;
  /** Positive where the row is newer than its token. */
  readonly age: number;
}

function driftsOf(references: readonly Reference[]): DatedReference[] {
  const drifts: DatedReference[] = [];
  for (const reference of references) {
    const { row, model, slot } = reference;
    const serialized = slot.parts.version;
    if (serialized === undefined || model.version === undefined || row.read === undefined) continue;
    const current = isThere(reference) ? model.version.read(row.read) : undefined;
    const age = current === undefined ? 0 : model.version.compare(current, serialized);
    if (age !== 0) drifts.push({ ...reference, serialized, current: current!, age });
  }
  return drifts;
}

function refuseMissing(missing: readonly Reference[]): void {
  const fatal = missing.filter((reference) => reference.missing === 'throw');
  if (fatal.length > 0)
    throw ByReferenceError.entityNotFound(
      tokensOf(fatal),
      fatal.map(({ slot }) => slot.path),
    );
}

async function judgeDrift(drifts: readonly DatedReference[], policy: Settings['drift']): Promise<void> {
  const early = drifts.filter(({ age }) => age < 0);
  if (early.length > 0) throw ByReferenceError.notYetVisible(tokensOf(early), early[0]!.slot.path);
  if (drifts.length === 0 || policy === 'ignore') return;
  if (policy === 'throw') throw ByReferenceError.drift(tokensOf(drifts), drifts[0]!.slot.path);
  for (const { row, serialized, current } of drifts) {
    const drift: Drift = { entity: row.entity as AnyEntity, token: row.token, serialized, current };
    await policy(drift);
  }
}

function outcome(reference: Reference): unknown {
  if (isThere(reference)) return reference.row.entity;
  return reference.missing === 'null' ? null : OMITTED;
}

const tokensOf = (references: readonly Reference[]) =>
  Array.from(new Set<Row>(references.map(({ row }) => row)), (row) => row.token);
