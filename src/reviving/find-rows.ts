import type { AnyEntity, EntityManager, EntityMetadata } from '@mikro-orm/core';
import { PrimaryKey } from '../keys/primary-key.ts';
import { meetingManaged } from '../orm/managed-keys.ts';
import { blaming } from './blame.ts';
import { requireEscaping } from './escaping.ts';
import type { LoadSettings } from './load-plan.ts';
import { type Found, meet } from './meet.ts';
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
  const keys = rows.map((row) => row.key.value);
  await requireEscaping(em, keys);
  const keysOf = (root: EntityMetadata) => PrimaryKey.of(root, em.getPlatform());
  const entities = await blaming(em, group, rows, () => meetingManaged(em, group, keysOf, () => query(keys)));
  return 1 + (await meet(em, group, rows, entities, found));
}

/** The rows of each query. */
export function chunksOf({ primaryKey }: RowGroup, rows: Row[]): readonly Row[][] {
  const size = primaryKey.width === 1 ? CHUNK.single : CHUNK.composite;
  if (rows.length <= size) return rows.length === 0 ? [] : [rows];
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, index) =>
    rows.slice(index * size, (index + 1) * size),
  );
}

/** Runs the tasks, a few at once. Settles only when none is under way: the EntityManager is the caller's again. */
export async function runAll(
  tasks: readonly (() => Promise<void>)[],
  em: EntityManager,
  groups: readonly RowGroup[],
  settings: LoadSettings,
): Promise<void> {
  if (tasks.length === 1) return tasks[0]!();
  const parallel = em.isInTransaction() ? 1 : (settings.parallel ?? defaultParallel(groups));
  const queue = tasks.values();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const task of queue) {
      if (failed) return;
      await task().catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(parallel, tasks.length) }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/**
 * Few rows: waiting for the database takes the time. Many: hydration does, which is faster in the order of the groups;
 * two queries at once still have the next answer waiting when one is done with.
 */
function defaultParallel(groups: readonly RowGroup[]): number {
  const rows = groups.reduce((sum, group) => sum + group.rows.size, 0);
  return rows <= 1_000 ? 4 : 2;
}
