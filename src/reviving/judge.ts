import type { AnyEntity } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import type { Drift } from '../options.ts';
import { readsSnapshot } from '../orm/platform.ts';
import type { EntityToken } from '../wire/token.ts';
import { OMITTED } from '../wire/values/value-type.ts';
import type { Reference } from './resolve.ts';
import type { Settings } from './settings.ts';

/**
 * Gives the slots of one payload their values. Throws E_ENTITY_NOT_FOUND, E_NOT_YET_VISIBLE, E_DRIFT. There is something
 * to wait for only where the application judges a drift.
 */
export function judge(references: readonly Reference[], { drift, lockMode }: Settings): Promise<void> | undefined {
  const fatal: Reference[] = [];
  let isDated = false;
  for (const reference of references) {
    const { slot, row, plan } = reference;
    isDated ||= slot.version !== undefined;
    if (isThere(reference)) slot.value = row.entity;
    else if (plan.policy.missing === 'throw') fatal.push(reference);
    else slot.value = plan.policy.missing === 'null' ? null : OMITTED;
  }
  if (fatal.length > 0)
    throw notFound(fatal, lockMode === undefined && fatal.some(({ plan }) => readsSnapshot(plan.em)));
  const drifts = isDated ? driftsOf(references) : [];
  return drifts.length > 0 ? judgeDrift(drifts, drift) : undefined;
}

/** The tokens that name no row, or one of another class. */
export const missingOf = (references: readonly Reference[]): EntityToken[] =>
  tokensOf(references.filter((reference) => !isThere(reference)));

/** The tokens whose row is newer than they are. */
export const driftedOf = (references: readonly Reference[]): EntityToken[] =>
  tokensOf(driftsOf(references).flatMap(({ reference, age }) => (age > 0 ? reference : [])));

/**
 * A row whose discriminator says another class now is not what the token named, nor is an entity that stays of the class
 * that it had; what is unread is taken at its word.
 */
const isThere = ({ row: { entity, read }, plan }: Reference): boolean =>
  entity !== undefined &&
  (read === undefined || (read instanceof plan.model.class && (entity === read || entity instanceof plan.model.class)));

interface DatedReference {
  readonly reference: Reference;
  readonly serialized: number | Date;
  readonly current: number | Date;
  /** Positive where the row is newer than its token. */
  readonly age: number;
}

function driftsOf(references: readonly Reference[]): DatedReference[] {
  const drifts: DatedReference[] = [];
  for (const reference of references) {
    const { row, plan, slot } = reference;
    const serialized = slot.version;
    const { version } = plan.model;
    if (serialized === undefined || version === undefined || row.read === undefined) continue;
    const current = isThere(reference) ? version.read(row.read, row.stored) : undefined;
    const age = current === undefined ? 0 : version.compare(current, serialized);
    if (age !== 0) drifts.push({ reference, serialized, current: current!, age });
  }
  return drifts;
}

const notFound = (fatal: readonly Reference[], isOfSnapshot: boolean): ByReferenceError =>
  ByReferenceError.entityNotFound(tokensOf(fatal), fatal[0]!.slot.path, fatal.length, isOfSnapshot);

async function judgeDrift(drifts: readonly DatedReference[], policy: Settings['drift']): Promise<void> {
  const early = drifts.filter(({ age }) => age < 0);
  if (early.length > 0) throw ByReferenceError.notYetVisible(...facts(early));
  if (policy === 'ignore') return;
  if (policy === 'throw') throw ByReferenceError.drift(...facts(drifts));
  for (const { reference, serialized, current } of drifts) {
    const { row, slot } = reference;
    const drift: Drift = { entity: row.entity as AnyEntity, token: slot.token, serialized, current };
    await policy(drift);
  }
}

function facts(drifts: readonly DatedReference[]): [EntityToken[], string] {
  const references = drifts.map(({ reference }) => reference);
  return [tokensOf(references), references[0]!.slot.path];
}

/** As the payload has them: one row may be named by its class and by a base class, and with several versions. */
const tokensOf = (references: readonly Reference[]): EntityToken[] => [
  ...new Map(references.map(({ slot: { token } }) => [token.toString(), token])).values(),
];
