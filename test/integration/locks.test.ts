import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locked, type LockProvider, Locks, postgresLocks, verrouLocks } from 'mikro-orm-byref/locks';
import { domain, User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { until } from '../support/jobs.ts';
import { abortOf, telling } from '../support/locks.ts';

let database: TestOrm;
let serializer: EntitySerializer;
const opened: Locks[] = [];

const locksOf = (provider: LockProvider = postgresLocks(database.orm)): Locks => {
  const locks = new Locks(serializer, provider);
  opened.push(locks);
  return locks;
};
const execute = <T extends object>(sql: string): Promise<T[]> =>
  database.orm.em.fork().getConnection().execute<T[]>(sql);
/** The sessions that hold locks, as PostgreSQL sees them. */
const holders = (): Promise<{ pid: number; state: string; xact_start: Date | null }[]> =>
  execute(
    "select distinct pid, state, xact_start from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory' and datname = current_database()",
  );

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  for (const id of [1, 2]) em.create(User, { id, name: `User ${id}`, email: `${id}@example.org` });
  await em.flush();
});
afterEach(async () => {
  for (const locks of opened.splice(0)) await locks.close();
});
afterAll(() => database.close());

describe('the session of PostgreSQL', () => {
  test('an uncontended lock takes two statements, whatever the work takes', async () => {
    const statements: string[] = [];
    const connection = telling((sql) => void statements.push(sql), database.url);
    const locks = locksOf(postgresLocks(database.orm, { connection }));
    await locks.run('warm', () => 0);
    statements.length = 0;
    await locks.run('key', () => sleep(20));
    expect(statements.map((sql) => /pg_(\w+)\(/.exec(sql)?.[1])).toEqual(['try_advisory_lock', 'advisory_unlock']);
  });

  test('the server is told to notice by itself that nobody is there any more', async () => {
    const settingsAt = async (heartbeatMs?: number): Promise<string[]> => {
      let client: Client;
      const connection = () => (client = new Client({ connectionString: database.url }));
      const locks = locksOf(postgresLocks(database.orm, { connection, ...(heartbeatMs && { heartbeatMs }) }));
      return locks.run('key', async () => {
        const { rows } = await client.query<{ setting: string }>(
          "select setting from pg_settings where name ~ '^tcp_' order by name",
        );
        return rows.map(({ setting }) => setting);
      });
    };
    // Probes, after so many seconds of silence, so many between two; milliseconds for what was sent.
    expect(await settingsAt()).toEqual(['2', '10', '10', '30000']);
    expect(await settingsAt(1_500)).toEqual(['2', '2', '2', '4500']);
    expect(await settingsAt(2 ** 31 - 1)).toEqual(['2', '32767', '32767', '2147483647']);
  });

  test('a release tells a waiting process, long before that asks again', async () => {
    const [holder, waiter] = [locksOf(), locksOf(postgresLocks(database.orm, { pollMs: 60_000 }))];
    const lock = await holder.acquire('key');
    const waiting = waiter.run('key', () => 'ran');
    await until(async () => {
      const shared = await execute("select from pg_locks where locktype = 'advisory' and mode = 'ShareLock'");
      return shared.length > 0;
    });
    await lock.release();
    expect(await waiting).toBe('ran');
  });

  test('one connection beside the pool, without a transaction', async () => {
    const pool = { min: 0, max: 1 };
    const orm = makeOrm({ entities: domain, clientUrl: database.url, contextName: 'small', pool });
    const locks = locksOf(postgresLocks(orm));
    try {
      await orm.em.fork().transactional(async (em) => {
        await em.findOneOrFail(User, 1);
        await locks.run('a', () =>
          locks.run('b', async () => {
            expect(await holders()).toEqual([{ pid: expect.any(Number), state: 'idle', xact_start: null }]);
            expect(await em.count(User)).toBe(2);
          }),
        );
      });
      expect(await holders()).toEqual([]);
    } finally {
      await orm.close();
    }
  });

  test('a connection that is cut: the work is told with its cause, and the next call connects again', async () => {
    const locks = locksOf();
    const work = locks.run('key', async (signal) => {
      expect(locks.signal).toBe(signal);
      const [session] = await holders();
      await execute(`select pg_terminate_backend(${session!.pid})`);
      await abortOf(signal);
      expect(signal.reason).toMatchObject({ code: 'E_LOCK_LOST', retryable: true, cause: { code: '57P01' } });
      return 'done';
    });
    expect((await failureOf(() => work)).message).toMatch(/^The lock "key" was lost while the work ran/);
    expect(await locks.run('key', () => 'ran')).toBe('ran');
  });

  test('a waiting call whose connection is cut goes on waiting on another', async () => {
    const [holder, waiter] = [locksOf(), locksOf()];
    const lock = await holder.acquire('key');
    const waiting = waiter.run('key', () => 'ran');
    const waiters = async () =>
      execute<{ pid: number }>("select pid from pg_locks where locktype = 'advisory' and mode = 'ShareLock'");
    await until(async () => (await waiters()).length > 0);
    const [{ pid } = { pid: 0 }] = await waiters();
    await execute(`select pg_terminate_backend(${pid})`);
    await until(async () => (await waiters()).some((session) => session.pid !== pid));
    await lock.release();
    expect(await waiting).toBe('ran');
  });

  test('a database that can’t be reached is its own error, not a lock that is taken', async () => {
    const connection = () => new Client({ host: '127.0.0.1', port: 1 });
    const locks = locksOf(postgresLocks(database.orm, { connection }));
    await expect(locks.run('key', () => 0, { waitMs: 100 })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(locks.tryRun('key', () => 0)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a session that somebody else has reset is noticed', async () => {
    let client: Client;
    const connection = () => (client = new Client({ connectionString: database.url }));
    const locks = locksOf(postgresLocks(database.orm, { connection }));
    const error = await failureOf(() => locks.run('key', () => client.query('discard all')));
    expect([error.code, String(error.cause)]).toEqual(['E_LOCK_LOST', expect.stringContaining('pooler')]);
    expect(await locks.run('key', () => 'ran')).toBe('ran');
  });

  test('after close() nothing is held, and nothing can be', async () => {
    const locks = locksOf();
    const lock = await locks.acquire('key');
    await locks.close();
    expect(await holders()).toEqual([]);
    expect((await failureOf(() => lock.release())).code).toBe('E_LOCK_LOST');
    expect((await failureOf(() => locks.run('key', () => 0))).code).toBe('E_UNSUPPORTED');
  });

  test('its connection keeps no process alive', async () => {
    const script = fileURLToPath(new URL('../support/locks-and-ends.ts', import.meta.url));
    const child = spawn(process.execPath, [script, database.url], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    expect([(await once(child, 'close'))[0], output]).toEqual([0, 'locked\n']);
  });

  test('databases without them are refused by name', async () => {
    const sqlite = await openDatabase(domain, {}, 'sqlite');
    try {
      const error = await failureOf(() => locksOf(postgresLocks(sqlite.orm)).run('key', () => 0));
      expect(error.code).toBe('E_UNSUPPORTED');
      expect(error.message).toMatch(/(?:Sqlite|LibSql)Driver is not supported here.*new pg\.Client.*verrouLocks/);
    } finally {
      await sqlite.close();
    }
  });
});

describe('@Locked', () => {
  /** What another process has. */
  let others: Locks;
  beforeEach(() => {
    others = locksOf();
  });

  class Reports {
    readonly events: string[] = [];
    work = (): Promise<void> => sleep(20);
    protected readonly lockProvider: Locks;
    constructor(locks: Locks) {
      this.lockProvider = locks;
    }

    get locks(): Locks {
      return this.lockProvider;
    }

    @Locked()
    async build(user: User, _format?: string): Promise<string> {
      this.events.push(`start ${user.id}`);
      await this.work();
      this.events.push(`end ${user.id}`);
      return `report of ${user.id}`;
    }

    @Locked({ key: (user: User) => user, waitMs: 0 })
    async once(user: User, work: () => Promise<void>): Promise<number> {
      await work();
      return user.id;
    }

    @Locked({
      key(this: Reports) {
        return this.events.length;
      },
      locks: (self: Reports) => self.lockProvider,
    })
    async byState(): Promise<boolean> {
      return (await others.tryRun(this.events.length, () => 0)).ran;
    }

    @Locked()
    async again(user: User, depth: number): Promise<AbortSignal | undefined> {
      return depth === 0 ? this.locks.signal : this.again(user, 0);
    }

    @Locked()
    static async shared(): Promise<boolean> {
      return (await others.tryRun(['Reports', 'shared'], () => 0)).ran;
    }

    static locks: Locks;
  }

  class MonthlyReports extends Reports {}

  const user = (id: number): User => database.orm.em.fork().getReference(User, id);

  test('two requests run the same function one after the other', async () => {
    const [here, there] = [new Reports(locksOf()), new Reports(locksOf())];
    const results = await Promise.all([here.build(user(1)), there.build(user(1), undefined), here.build(user(1))]);
    expect(results).toEqual(Array(3).fill('report of 1'));
    expect(here.events).toEqual(['start 1', 'end 1', 'start 1', 'end 1']);
  });

  test('the default key is the declaring class, the method and the arguments', async () => {
    const reports = new MonthlyReports(locksOf());
    const [begun, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    reports.work = () => (begun.resolve(), mayEnd.promise);
    const building = reports.build(user(1));
    await begun.promise;
    const isFree = async (key: unknown) => (await others.tryRun(key, () => 0)).ran;
    expect(await isFree(['Reports', 'build', user(1)])).toBe(false);
    expect(await isFree(['Reports', 'build', user(2)])).toBe(true);
    expect(await isFree(['Reports', 'build', user(1), 'pdf'])).toBe(true);
    expect(await isFree(['MonthlyReports', 'build', user(1)])).toBe(true);
    mayEnd.resolve();
    await building;
    expect(await isFree(['Reports', 'build', user(1)])).toBe(true);
  });

  test('a key of its own, without waiting', async () => {
    const reports = new Reports(locksOf());
    const there = new Reports(others);
    const error = await failureOf(() =>
      reports.once(user(1), async () => void (await there.once(user(1), async () => {}))),
    );
    expect([error.code, error.retryable]).toEqual(['E_LOCKED', true]);
    expect(await there.once(user(1), async () => {})).toBe(1);
  });

  test('key and locks see the instance; static methods work; a nested call runs through', async () => {
    const locks = locksOf();
    const reports = new Reports(locks);
    expect(await reports.byState()).toBe(false);
    Reports.locks = locks;
    expect(await Reports.shared()).toBe(false);
    expect(await MonthlyReports.shared()).toBe(false);
    expect(await reports.again(user(1), 1)).toBeInstanceOf(AbortSignal);
  });

  test('where there are no locks, the call says how to give them', async () => {
    const reports = new Reports(undefined as never);
    const error = await failureOf(() => reports.build(user(1)));
    expect([error.code, error.message]).toEqual([
      'E_INVALID_OPTION',
      'Invalid locks of @Locked on build: expected a Locks in this.locks, or from the option locks: (self) => …, got undefined.',
    ]);
  });

  test('what can’t be a key is refused before anything runs', async () => {
    const reports = new Reports(locksOf());
    const unsaved = database.orm.em.fork().create(User, { id: 9, name: 'New', email: 'n@example.org' });
    expect((await failureOf(() => reports.build(unsaved))).code).toBe('E_UNPERSISTED');
    expect(reports.events).toEqual([]);
  });
});

describe('options', () => {
  test('a bad one is refused by name', async () => {
    const locks = locksOf();
    const refused = async (run: () => unknown): Promise<string> => {
      const { code, message } = await failureOf(run);
      expect(code).toBe('E_INVALID_OPTION');
      return message;
    };
    for (const waitMs of [-1, 1.5, Number.NaN, 2 ** 31, '5']) {
      expect(await refused(() => locks.run('key', () => 0, { waitMs } as never))).toMatch(
        /option waitMs: expected milli/,
      );
    }
    expect(await refused(() => locks.run('key', () => 0, { wait: 5 } as never))).toContain('option wait');
    expect(await refused(() => locks.run('key', () => 0, { signal: {} } as never))).toContain('option signal');
    expect(await refused(() => locks.run(undefined, () => 0))).toContain('key of a lock');
    expect(await refused(() => postgresLocks(database.orm, { pollMs: 0 }))).toContain('option pollMs');
    expect(await refused(() => postgresLocks(database.orm, { namespace: '' }))).toContain('option namespace');
    expect(await refused(() => verrouLocks({} as never))).toContain('argument of verrouLocks');
    expect(await refused(() => verrouLocks({ createLock: () => 0 } as never, { leaseMs: 0 }))).toContain('leaseMs');
    expect(await refused(() => new Locks(serializer, {} as never))).toContain('provider of Locks');
    expect(await refused(() => new Locks({} as never, postgresLocks(database.orm)))).toContain(
      'expected an EntitySerializer',
    );
    expect(await refused(() => Locked({ keys: 1 } as never))).toContain('@Locked option keys');
    expect(await locks.run('key', () => 'ran', { waitMs: Infinity })).toBe('ran');
  });

  test('applications that share a database keep their locks apart by namespace', async () => {
    const others = locksOf(postgresLocks(database.orm, { namespace: 'other' }));
    const inner = await locksOf().run('key', () => others.tryRun('key', () => 'both'));
    expect(inner).toEqual({ ran: true, result: 'both' });
  });
});
