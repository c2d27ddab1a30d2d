import type { EntityManager } from '@mikro-orm/core';
import { setTimeout as sleep } from 'node:timers/promises';
import { executeInTransaction } from '../orm/transaction.ts';
import type { NewJob } from './engine.ts';

/** How long a transaction waits for another one that has a dedupe key, and between two looks, in milliseconds. */
const [LONGEST_WAIT_MS, LOOK_EVERY_MS] = [1_000, 20];

/**
 * Has the transaction of `em` be the only one that decides about the dedupe keys of these jobs, until it ends. A job
 * whose key another transaction keeps for long comes back without one, and is enqueued beside the other's: whoever
 * waited for a key without end, holding another key or a row, could make a deadlock.
 */
export async function lockDedupeKeys(jobs: readonly NewJob[], em: EntityManager): Promise<readonly NewJob[]> {
  const deadline = Date.now() + LONGEST_WAIT_MS;
  const settled: NewJob[] = [];
  for (const job of jobs) {
    const isOurs = job.dedupeKey === undefined || (await lock(`${job.queue.name}:${job.dedupeKey}`, em, deadline));
    settled.push(isOurs ? job : { ...job, dedupeKey: undefined });
  }
  return settled;
}

async function lock(key: string, em: EntityManager, deadline: number): Promise<boolean> {
  for (;;) {
    if (await tryLock(key, em)) return true;
    if (Date.now() >= deadline) return false;
    await sleep(LOOK_EVERY_MS);
  }
}

/** Given back with the transaction, or the savepoint, whatever becomes of it. */
async function tryLock(key: string, em: EntityManager): Promise<boolean> {
  const sql = 'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "isLocked"';
  const [row] = await executeInTransaction(em, sql, [`mikro-orm-byref:dedupe:${key}`]);
  return (row as { isLocked: boolean }).isLocked;
}
