import { channel } from 'node:diagnostics_channel';
import type { EntitySlot } from '../codec/slot.ts';
import { ByReferenceError } from '../errors.ts';
import type { ReviveReport } from '../options.ts';
import { driftedOf, judge, missingOf, refuseUnauthorized } from './judge.ts';
import { loadRows } from './load-rows.ts';
import { each, eachInTurn, failed, type Outcome, succeeded, valueOf } from './outcomes.ts';
import { type Reference, Resolver, type RowGroup } from './resolve.ts';
import type { Settings } from './settings.ts';

const revivals = channel('mikro-orm-byref:revive');

/** What has slots for entities: a decoded payload. */
interface Slotted {
  readonly slots: readonly EntitySlot[];
}

/**
 * Gives the slots of payloads their entities: resolve, load, judge; one query per model for all of them. Each payload
 * has an outcome of its own. An error of the options and a failure of the database are thrown, as they concern them all.
 */
export async function revive<Payload extends Slotted>(
  payloads: readonly Outcome<Payload>[],
  settings: Settings,
): Promise<readonly Outcome<Payload>[]> {
  if (!payloads.some((payload) => payload.status === 'fulfilled' && payload.value.slots.length > 0)) return payloads;
  const resolver = new Resolver(settings);
  const resolved = each(payloads, (payload) => ({ payload, references: resolver.resolve(payload.slots) }));
  const sound = resolved.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value.references : []));
  const refusal = sound.length === 0 ? undefined : await load(resolver.groups, sound, settings);
  if (refusal !== undefined && payloads.length > 1) {
    // A key that its column refuses, or a row that is locked: only a query of its own tells whose.
    return eachInTurn(resolved, async ({ payload }) => {
      const [alone] = await revive([succeeded(payload)], settings);
      return valueOf(alone!);
    });
  }
  if (refusal !== undefined) return [failed(refusal)];
  return eachInTurn(resolved, async ({ payload, references }) => {
    await judge(references, settings);
    return payload;
  });
}

/** Returns what the rows can't be read for: a ByReferenceError. Throws all else. */
async function load(
  groups: readonly RowGroup[],
  references: readonly Reference[],
  settings: Settings,
): Promise<ByReferenceError | undefined> {
  const startedAt = performance.now();
  let queries: number;
  try {
    queries = await loadGroups(groups, settings);
  } catch (error) {
    if (error instanceof ByReferenceError) return error;
    throw error;
  }
  await refuseUnauthorized(groups, settings.authorize);
  report(groups, references, { queries, ms: performance.now() - startedAt }, settings);
  return undefined;
}

/**
 * The ORMs at once, because each has its own connection. With row locks one after the other, in the order of their
 * names: no database would notice a deadlock across two. Settles only when none is under way. Returns the queries sent.
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

function report(
  groups: readonly RowGroup[],
  references: readonly Reference[],
  effort: Pick<ReviveReport, 'queries' | 'ms'>,
  { onRevive }: Settings,
): void {
  if (onRevive === undefined && !revivals.hasSubscribers) return;
  const rows = groups.flatMap((group) => [...group.rows.values()]);
  const told: ReviveReport = {
    tokens: references.length,
    rows: rows.length,
    ...effort,
    missing: missingOf(references),
    drifted: driftedOf(references),
    unflushed: rows.filter((row) => row.unflushed && row.entity !== undefined).map((row) => row.token),
  };
  onRevive?.(told);
  revivals.publish(told);
}
