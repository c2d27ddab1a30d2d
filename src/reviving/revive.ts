import type { EntityManager } from '@mikro-orm/core';
import { tracingChannel } from 'node:diagnostics_channel';
import type { Decoded } from '../codec/decode.ts';
import { ByReferenceError, isThenable } from '../errors.ts';
import type { ReviveReport, ReviveTrace } from '../options.ts';
import { authorizeRows } from './authorize.ts';
import { driftedOf, judge, missingOf } from './judge.ts';
import { loadRows } from './load-rows.ts';
import { each, type Outcome, refused } from './outcomes.ts';
import { type Reference, Resolver, type RowGroup } from './resolve.ts';
import type { Call, Settings } from './settings.ts';

const channel = tracingChannel<unknown, ReviveTrace>('mikro-orm-byref:revive');

/**
 * Payloads → values: decode, resolve, load, judge, fill; one query per model for all of them. Each payload has an outcome
 * of its own. An error of the options and a failure of the database are thrown, as they concern them all.
 */
export async function revive<Payload>(
  payloads: readonly Payload[],
  decode: (payload: Payload) => Decoded,
  call: Call,
): Promise<Outcome<unknown>[]> {
  const { settings } = call;
  const resolver = new Resolver(call);
  const resolved = each(payloads, (payload): Resolved => {
    const decoded = decode(payload);
    return { decoded, references: resolver.resolve(decoded.slots) };
  });
  const { groups } = resolver;
  let refusal: ByReferenceError | undefined;
  try {
    if (groups.length > 0) await load(groups, resolved, settings);
  } catch (error) {
    if (!(error instanceof ByReferenceError)) throw error;
    refusal = error;
  }
  const outcomes: Outcome<unknown>[] = [];
  for (const outcome of resolved) {
    if (outcome.status === 'rejected') {
      outcomes.push(outcome);
      continue;
    }
    const { decoded, references } = outcome.value;
    try {
      if (refusal === undefined) {
        const judgement = judge(references, settings);
        if (judgement !== undefined) await judgement;
        const value = decoded.fill();
        // What has to be upgraded may take its time.
        outcomes.push({ status: 'fulfilled', value: isThenable(value) ? await value : value });
      } else if (payloads.length === 1) throw refusal;
      // A key that its column refuses, or a row that is locked: only a query of its own tells whose.
      else outcomes.push(...(await revive([decoded], (own) => own, call)));
    } catch (error) {
      outcomes.push(refused(error));
    }
  }
  return outcomes;
}

/** A payload that has proved itself. */
interface Resolved {
  readonly decoded: Decoded;
  readonly references: readonly Reference[];
}

/** Throws a ByReferenceError where it is about rows that can't be read. */
function load(
  groups: readonly RowGroup[],
  resolved: readonly Outcome<Resolved>[],
  settings: Settings,
): Promise<unknown> {
  const isHeard = settings.onRevive !== undefined || channel.hasSubscribers;
  return isHeard ? loadTelling(groups, resolved, settings) : loadGroups(groups, settings);
}

async function loadTelling(
  groups: readonly RowGroup[],
  resolved: readonly Outcome<Resolved>[],
  settings: Settings,
): Promise<void> {
  const trace: ReviveTrace = {};
  const read = async (): Promise<void> => {
    const startedAt = performance.now();
    const queries = await loadGroups(groups, settings);
    const references = resolved.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value.references : []));
    trace.report = reportOf(groups, references, { queries, ms: performance.now() - startedAt });
    await settings.onRevive?.(trace.report);
  };
  await (channel.hasSubscribers ? channel.tracePromise(read, trace) : read());
}

/**
 * The ORMs at once, because each has its own connection. With row locks one after the other, in the order of their
 * names: no database would notice a deadlock across two. Settles only when none is under way. Returns the queries sent.
 */
function loadGroups(groups: readonly RowGroup[], settings: Settings): Promise<number> {
  const { em } = groups[0]!;
  const isOne = groups.length === 1 || groups.every((group) => group.em === em);
  return isOne ? loadAdmitted(em, groups, settings) : loadManagers(groups, settings);
}

async function loadManagers(groups: readonly RowGroup[], settings: Settings): Promise<number> {
  const byManager = [...Map.groupBy(groups, ({ em }) => em)];
  let queries = 0;
  if (settings.lockMode !== undefined) {
    byManager.sort(([a], [b]) => (a.name < b.name ? -1 : 1));
    for (const [em, own] of byManager) queries += await loadAdmitted(em, own, settings);
    return queries;
  }
  for (const result of await Promise.allSettled(byManager.map(async ([em, own]) => loadAdmitted(em, own, settings)))) {
    if (result.status === 'rejected') throw result.reason;
    queries += result.value;
  }
  return queries;
}

/** Where somebody has to be asked about rows, that comes first. */
function loadAdmitted(em: EntityManager, groups: readonly RowGroup[], settings: Settings): Promise<number> {
  return settings.authorize === undefined ? loadRows(em, groups, settings) : askAndLoad(em, groups, settings);
}

async function askAndLoad(em: EntityManager, groups: readonly RowGroup[], settings: Settings): Promise<number> {
  const { admission, queries } = await authorizeRows(em, groups, settings);
  return queries + (await loadRows(em, groups, settings, admission));
}

function reportOf(
  groups: readonly RowGroup[],
  references: readonly Reference[],
  effort: Pick<ReviveReport, 'queries' | 'ms'>,
): ReviveReport {
  const rows = groups.flatMap((group) => [...group.rows.values()]);
  return {
    tokens: references.length,
    rows: rows.length,
    ...effort,
    missing: missingOf(references),
    drifted: driftedOf(references),
    unflushed: rows.filter((row) => row.unflushed && row.entity !== undefined).map((row) => row.token),
  };
}
