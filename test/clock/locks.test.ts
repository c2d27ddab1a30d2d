import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { LockFactory } from '@verrou/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { type LockProvider, Locks, postgresLocks, verrouLocks } from 'mikro-orm-byref/locks';
import { Client } from 'pg';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { startOwnPostgres } from '../../fixtures/postgres.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { abortOf, telling } from '../support/locks.ts';
import { tableStore } from '../support/table-store.ts';

let database: TestOrm;
const opened: Locks[] = [];

const locksOf = (provider: LockProvider): Locks => {
  const locks = new Locks(new EntitySerializer(database.orm), provider);
  opened.push(locks);
  return locks;
};
const execute = (sql: string): Promise<object[]> => database.orm.em.fork().getConnection().execute<object[]>(sql);

beforeAll(async () => {
  database = await openDatabase(domain);
});
afterEach(async () => {
  for (const locks of opened.splice(0)) await locks.close();
});
afterAll(() => database.close());

describe('a network that goes silent', () => {
  let proxy: Server;
  let isSilent: boolean;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    isSilent = false;
    const { hostname, port } = new URL(database.url);
    proxy = createServer((client) => {
      const server = connect(Number(port), hostname);
      sockets.push(client, server);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        from.on('data', (chunk) => isSilent || to.write(chunk));
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
      }
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    proxy.close();
  });

  test('the lock counts as lost when the database has not answered for a while', async () => {
    const url = Object.assign(new URL(database.url), { port: String((proxy.address() as { port: number }).port) }).href;
    const asked = Promise.withResolvers<void>();
    const connection = telling((sql) => void (sql === 'select 1' && asked.resolve()), url);
    const locks = locksOf(postgresLocks(database.orm, { connection, heartbeatMs: 1_000 }));
    const work = locks.run('key', async (signal) => {
      await asked.promise;
      // Busy for longer than that: when it is over the answer is there, and the lock is kept.
      const busyUntil = performance.now() + 1_500;
      while (performance.now() < busyUntil);
      await sleep(50);
      expect(signal.aborted).toBe(false);
      isSilent = true;
      await abortOf(signal);
    });
    const error = await failureOf(() => work);
    expect([error.code, String(error.cause)]).toEqual(['E_LOCK_LOST', expect.stringContaining('not answered')]);
  });
});

describe('a server that crashes', () => {
  test('gives no token twice, although it writes its log when it likes', async () => {
    const server = await startOwnPostgres();
    const connection = (): Client => {
      const client = new Client({ connectionString: server.url });
      // That the server cuts it is what is tested.
      return client.on('error', () => undefined);
    };
    const tokens: bigint[] = [];
    try {
      for (let crash = 0; crash < 5; crash++) {
        const other = connection();
        await other.connect();
        await other.query('create sequence if not exists lock_tokens');
        const locks = locksOf(postgresLocks(database.orm, { connection, tokenSequence: 'lock_tokens' }));
        const draw = (): Promise<number> => locks.run('key', (_, { token }) => tokens.push(token!));
        await draw();
        // Whoever draws the last of 32 numbers puts the next 32 into the log, and has it written by its own commit.
        await other.query('begin');
        await other.query("select nextval('lock_tokens') from generate_series(1, 40)");
        await draw();
        await server.restart('immediate');
      }
    } finally {
      await server.stop();
    }
    expect(tokens).toHaveLength(10);
    expect(tokens.filter((token, index) => token <= (tokens[index - 1] ?? 0n))).toEqual([]);
  });
});

describe('leases of Verrou', () => {
  const LEASE_MS = 3_000;
  // One: two stores that create their table at the same time fail.
  let factory: LockFactory;
  beforeAll(() => {
    factory = new LockFactory(tableStore(database.orm).factory());
  });
  const provider = () => verrouLocks(factory, { leaseMs: LEASE_MS, pollMs: 50 });

  test('are extended while the work runs, and no longer', async () => {
    const [locks, others] = [locksOf(provider()), locksOf(provider())];
    await locks.run('long', async (signal) => {
      await expect(others.run('long', () => 0, { waitMs: 2 * LEASE_MS })).rejects.toMatchObject({ code: 'E_LOCKED' });
      expect(signal.aborted).toBe(false);
    });
    // Long before a lease would be over. A single try could meet the last ask of the one that gave up above.
    expect(await others.run('long', () => 'free', { waitMs: LEASE_MS / 3 })).toBe('free');
    await sleep(LEASE_MS);
    expect(await execute('select * from verrou')).toEqual([]);
  });

  test('a store that can’t be reached loses the lock when the lease is over', async () => {
    const locks = locksOf(provider());
    await locks.run('warm', () => 0);
    const error = await failureOf(() =>
      locks.run('key', async (signal) => {
        await execute('alter table verrou rename to verrou_gone');
        try {
          await abortOf(signal);
        } finally {
          await execute('alter table verrou_gone rename to verrou');
        }
      }),
    );
    expect([error.code, (error.cause as { code?: string }).code]).toEqual(['E_LOCK_LOST', '42P01']);
    expect(await locks.run('key', () => 'ran')).toBe('ran');
  });

  test('work that keeps the thread busy beyond the lease is not believed', async () => {
    const locks = locksOf(provider());
    const error = await failureOf(() =>
      locks.run('busy', () => {
        const busyUntil = performance.now() + LEASE_MS + 100;
        while (performance.now() < busyUntil);
      }),
    );
    expect(error.code).toBe('E_LOCK_LOST');
  });
});
