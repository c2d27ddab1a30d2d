import type { EntityManager } from '@mikro-orm/core';
import { isMysql, isPostgres } from './platform.ts';

/**
 * The time in milliseconds since 1970 by the clock of the database, which processes of several machines share. Whoever
 * shares a file with others is on their machine: SQLite has its clock.
 */
export async function databaseNow(em: EntityManager): Promise<number> {
  const sql = clockOf(em);
  if (sql === undefined) return Date.now();
  const [row] = await em.getConnection('write').execute<{ now: unknown }[]>(`select ${sql} as now`);
  return Number(row!.now);
}

function clockOf(em: EntityManager): string | undefined {
  const platform = em.getPlatform();
  if (isPostgres(platform)) return 'floor(extract(epoch from clock_timestamp()) * 1000)';
  // In UTC, which has no hour twice.
  if (isMysql(platform)) return "timestampdiff(microsecond, '1970-01-01', utc_timestamp(3)) div 1000";
  return undefined;
}
