import type { AnyEntity, EntityManager, EntityMetadata, Platform } from '@mikro-orm/core';
import { PrimaryKey } from '../keys/primary-key.ts';
import { meetingManaged } from '../orm/managed-keys.ts';
import { blaming } from './blame.ts';
import { requireEscaping } from './escaping.ts';
import type { LoadSettings } from './load-plan.ts';
import { type Found, meet, meetRespelled } from './meet.ts';
import type { Row, RowGroup } from './resolve.ts';

/** Keys per query: MikroORM writes them into the SQL text, and PostgreSQL's parser recurses over tuples. */
const CHUNK = { single: 10_000, composite: 1_000 };

/** Tells `found` of each row that is there, and returns how many queries it took. Rows and results meet by our own canonical key. */
export async function findRows(
  em: EntityManager,
  group: RowGroup,
  rows: readonly Row[],
  query: (keys: readonly unknown[]) => Promise<AnyEntity[]>,
  found: Found,
): Promise<number> {
  const keys = rows.map((row) => row.value);
  const escaping = requireEscaping(em, keys);
  if (escaping !== undefined) await escaping;
  const entities = await blaming(em, group, rows, () => meetingManaged(em, group, keysOf, () => query(keys)));
  const short = meet(group, rows, entities, found);
  if (short.length === 0) return 1;
  await meetRespelled(em, group, short, entities, found);
  return 2;
}

const keysOf = (root: EntityMetadata, platform: Platform): PrimaryKey => PrimaryKey.of(root, platform);

/** The rows of each query. */
export function chunksOf({ primaryKey }: RowGroup, rows: Row[]): readonly Row[][] {
  const size = primaryKey.width === 1 ? CHUNK.single : CHUNK.composite;
  if (rows.length <= size) return rows.length === 0 ? [] : [rows];
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, index) =>
    rows.slice(index * size, (index + 1) * size),
  );
}

/** Reads something, and returns how many queries that took. */
export type Task = () => Promise<number>;

/**
 * Runs the tasks, a few at once, and returns how many queries they took. Settles only when none is under way: the
 * EntityManager is the caller's again.
 */
export function runAll(
  tasks: readonly Task[],
  em: EntityManager,
  groups: readonly RowGroup[],
  settings: LoadSettings,
): Promise<number> {
  if (tasks.length === 1) return tasks[0]!();
  return runSeveral(tasks, em.isInTransaction() ? 1 : (settings.parallel ?? defaultParallel(groups)));
}

async function runSeveral(tasks: readonly Task[], parallel: number): Promise<number> {
  const queue = tasks.values();
  let failed = false;
  const worker = async (): Promise<number> => {
    let queries = 0;
    for (const task of queue) {
      if (failed) break;
      try {
        queries += await task();
      } catch (error) {
        failed = true;
        throw error;
      }
    }
    return queries;
  };
  const runs = tasks.length > parallel ? Array.from({ length: parallel }, worker) : tasks.map((task) => task());
  let queries = 0;
  for (const result of await Promise.allSettled(runs)) {
    if (result.status === 'rejected') throw result.reason;
    queries += result.value;
  }
  return queries;
}

/**
 * Few rows: waiting for the database takes the time. Many: hydration does, which is faster in the order of the groups;
 * two queries at once still have the next answer waiting when one is done with.
 */
function defaultParallel(groups: readonly RowGroup[]): number {
  const rows = groups.reduce((sum, group) => sum + group.rows.size, 0);
  return rows <= 1_000 ? 4 : 2;
}
