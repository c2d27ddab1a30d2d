import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { pause, settled } from '../locks/waiting.ts';
import type { PostgresClientLike } from '../locks/postgres-session.ts';
import { isPostgres } from '../orm/platform.ts';
import { postgresConnectionOf } from '../orm/postgres-connection.ts';
import { executeInTransaction, transactionOf } from '../orm/transaction.ts';

const CHANNEL = 'mikro_orm_byref_outbox';

/** Milliseconds until a session that is lost is made again: at first, and at most. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 30_000];

/** After so many milliseconds without an answer a session counts as lost. */
const HEARTBEAT_MS = 10_000;

/** Transactions, and savepoints, that wake the relays when they commit. */
const waking = new WeakSet<object>();

/** Has the commit of a transaction wake the relays of its database, where that can be: PostgreSQL's. */
export async function wakeWithCommit(em: EntityManager): Promise<void> {
  const transaction = transactionOf(em);
  if (!isPostgres(em.getPlatform()) || (transaction !== undefined && waking.has(transaction))) return;
  const sql = `select pg_notify('${CHANNEL}', '')`;
  if (transaction === undefined) {
    await em.getConnection('write').execute(sql);
    return;
  }
  await executeInTransaction(em, sql);
  waking.add(transaction);
}

/**
 * Calls `wake` for each commit that `wakeWithCommit` has announced, on a session of its own that is made again whenever
 * it is lost, until `signal` is aborted. Elsewhere than on PostgreSQL, and where MikroORM hands out no settings of its
 * connections, nobody is woken.
 */
export async function listen(
  orm: MikroORM,
  wake: () => void,
  signal: AbortSignal,
  tell: (error: unknown) => void,
): Promise<void> {
  if (!isPostgres(orm.em.getPlatform())) return;
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      const connection = await postgresConnectionOf(orm);
      if (connection === undefined) return;
      const client = new connection.Client({ ...connection.settings, keepAlive: true }) as PostgresClientLike;
      await hear(client, signal, () => {
        pauseMs = FIRST_PAUSE_MS;
        wake();
      });
    } catch (error) {
      if (signal.aborted) return;
      tell(error);
    }
    await pause(pauseMs, [signal]);
  }
}

/** Listens until the session is lost, which it rejects with, or the signal is aborted. */
async function hear(client: PostgresClientLike, signal: AbortSignal, wake: () => void): Promise<void> {
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined);
  client.on('error', lost.reject);
  client.on('end', () => lost.reject(new Error('The connection that listened for messages has ended.')));
  client.on('notification', wake);
  const ask = async (asked: Promise<unknown>): Promise<void> => {
    const silent = new Error(`The database has not answered within ${HEARTBEAT_MS} ms.`);
    const timer = setTimeout(() => lost.reject(silent), HEARTBEAT_MS);
    await Promise.race([asked, lost.promise]).finally(() => clearTimeout(timer));
  };
  try {
    await ask(client.connect());
    await ask(client.query(`listen ${CHANNEL}`));
    // What was announced before nobody has heard.
    wake();
    while (!signal.aborted) {
      await Promise.race([pause(HEARTBEAT_MS, [signal]), lost.promise]);
      if (!signal.aborted) await ask(client.query('select 1'));
    }
  } finally {
    await settled(
      client.end().catch(() => undefined),
      HEARTBEAT_MS,
    );
  }
}
