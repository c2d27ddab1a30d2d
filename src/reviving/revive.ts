import type { AnyEntity } from '@mikro-orm/core';
import { channel } from 'node:diagnostics_channel';
import type { EntitySlot } from '../codec/slot.ts';
import { ByReferenceError } from '../errors.ts';
import type { ModelRegistry } from '../models/model-registry.ts';
import type { DeserializeOptions, Drift } from '../options.ts';
import { OMITTED } from '../wire/values/value-type.ts';
import { EntityManagers } from './entity-managers.ts';
import { loadRows } from './load-rows.ts';
import { type Reference, References, type Row, type RowGroup } from './references.ts';
import { requireRowLocks } from './row-locks.ts';

const revivals = channel('mikro-orm-byref:revive');

/** Tokens → entities: resolve, load, judge, fill in. `defaults` are the serializer's, `options` the call's. */
export async function revive(
  slots: readonly EntitySlot[],
  registry: ModelRegistry,
  options: DeserializeOptions,
  defaults: DeserializeOptions,
): Promise<void> {
  if (slots.length === 0) return;
  const settings = settle(options, defaults);
  const managers = new EntityManagers(registry.orms, options.em);
  refuseImpossible(settings);
  if (settings.freshness === 'lazy') refuseUnseen(slots);
  const references = new References(slots, registry, managers, options, defaults);
  refuseUnlockable(references.groups, settings);
  await load(references, settings);
  await settleSlots(references.all, settings);
}

/**
 * The same for several payloads at once: one query per model for all of them. Each has an outcome of its own: undefined,
 * or the ByReferenceError that keeps it from being read. A failure of the database is thrown, as it concerns them all.
 */
export async function reviveEach(
  payloads: readonly (readonly EntitySlot[])[],
  registry: ModelRegistry,
  options: DeserializeOptions,
  defaults: DeserializeOptions,
): Promise<readonly (ByReferenceError | undefined)[]> {
  const alone = (slots: readonly EntitySlot[]) => revive(slots, registry, options, defaults);
  if (payloads.length === 1) return [await refusal(() => alone(payloads[0]!))];
  if (payloads.every((slots) => slots.length === 0)) return payloads.map(() => undefined);
  const settings = settle(options, defaults);
  const managers = new EntityManagers(registry.orms, options.em);
  refuseImpossible(settings);
  const resolve = (slots: readonly EntitySlot[]): References =>
    new References(slots, registry, managers, options, defaults);
  // Each by itself first: what one payload names wrongly must not reach the query of the others.
  const prove = (slots: readonly EntitySlot[]): void => refuseUnlockable(resolve(slots).groups, settings);
  const outcomes = await Promise.all(payloads.map((slots) => refusal(() => prove(slots))));
  const sound = payloads.filter((_, index) => outcomes[index] === undefined);
  const references = resolve(sound.flat());
  const failure = references.all.length === 0 ? undefined : await refusal(() => load(references, settings));
  if (failure !== undefined && sound.length > 1) {
    // A key that its column refuses, or a row that is locked: only a query of its own tells whose.
    for (const [index, slots] of payloads.entries()) outcomes[index] ??= await refusal(() => alone(slots));
    return outcomes;
  }
  let from = 0;
  for (const [index, slots] of payloads.entries()) {
    if (outcomes[index] !== undefined) continue;
    const own = references.all.slice(from, (from += slots.length));
    outcomes[index] = failure ?? (await refusal(() => settleSlots(own, settings)));
  }
  return outcomes;
}

/** What a step is refused with; any other error is thrown on. */
async function refusal(run: () => unknown): Promise<ByReferenceError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof ByReferenceError) return error;
    throw error;
  }
}

async function load(references: References, settings: Settings): Promise<void> {
  const startedAt = performance.now();
  const queries = await loadGroups(references.groups, settings);
  await refuseUnauthorized(references, settings.authorize);
  const rows = references.groups.flatMap((group) => [...group.rows.values()]);
  const report = {
    tokens: references.all.length,
    rows: rows.length,
    queries,
    ms: performance.now() - startedAt,
    missing: tokensOf(references.all.filter((reference) => !isThere(reference))),
    drifted: tokensOf(driftsOf(references.all).filter((drift) => drift.age > 0)),
    unflushed: rows.filter((row) => row.unflushed && row.entity !== undefined).map((row) => row.token),
  };
  settings.onRevive?.(report);
  if (revivals.hasSubscribers) revivals.publish(report);
}

/**
 * The ORMs at once, because each has its own connection. With row locks one after the other, in the order of their
 * names: no database would notice a deadlock across two. Settles only when none is under way.
 */
async function loadGroups(groups: readonly RowGroup[], settings: Settings): Promise<number> {
  const byManager = [...Map.groupBy(groups, ({ em }) => em)];
  let queries = 0;
  if (settings.lockMode !== undefined) {
    byManager.sort(([a], [b]) => (a.name < b.name ? -1 : 1));
    for (const [em, own] of byManager) queries += await loadRows(em, own, settings);
    return queries;
  }
  for (const result of await Promise.allSettled(byManager.map(([em, own]) => loadRows(em, own, settings)))) {
    if (result.status === 'rejected') throw result.reason;
    queries += result.value;
  }
  return queries;
}

/** Gives each slot its value. Throws E_ENTITY_NOT_FOUND, E_NOT_YET_VISIBLE, E_DRIFT. */
async function settleSlots(references: readonly Reference[], settings: Settings): Promise<void> {
  refuseMissing(references.filter((reference) => !isThere(reference)));
  await judgeDrift(driftsOf(references), settings.drift);
  for (const reference of references) reference.slot.value = outcome(reference);
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

/** Each ORM whose rows are named has to be able to lock them, here and now. */
function refuseUnlockable(groups: readonly RowGroup[], { lockMode }: Settings): void {
  if (lockMode === undefined) return;
  for (const { em } of groups) {
    requireRowLocks(em);
    if (!em.isInTransaction()) {
      throw ByReferenceError.invalidOption('option lockMode', 'a transaction around it (em.transactional)', lockMode);
    }
  }
}

function refuseImpossible(settings: Settings): void {
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
  // Two groups read one row where they want other relations of it.
  const verdicts = new Map<AnyEntity, boolean>();
  for (const row of references.groups.flatMap((group) => [...group.rows.values()])) {
    const { entity } = row;
    if (entity === undefined) continue;
    const verdict = verdicts.get(entity) ?? (await authorize(entity, row.token));
    verdicts.set(entity, verdict);
    // From here on a refused row is a missing one: same error, same report.
    if (!verdict) row.entity = row.read = undefined;
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
