/** Every way in which a transaction can end, against a server, and what afterCommit is told of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, type MikroORM, raw } from '@mikro-orm/postgresql';
import fc from 'fast-check';
import { afterCommit, type ByReferenceError, EntitySerializer } from 'mikro-orm-byref';
import { domain, User } from '../../fixtures/domain.ts';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { byHand } from '../support/by-hand.ts';
import { openProxied, type Proxied } from '../support/proxied.ts';
import { soon } from '../support/soon.ts';

let proxied: Proxied;
let told: string[];
let unknown: ByReferenceError[];

beforeAll(async () => {
  proxied = await openProxied(domain);
  await execute('create table late (id int primary key, other int references late deferrable initially deferred)');
  await execute('create table seats (id int primary key, taken int not null)');
  for (const end of ['terminate', 'cancel']) {
    await execute(`
      create table ${end} (id int);
      create function ${end}() returns trigger language plpgsql as
        $$ begin perform pg_${end}_backend(pg_backend_pid()); perform pg_sleep(5); return null; end $$;
      create constraint trigger ${end} after insert on ${end} deferrable initially deferred
        for each row execute function ${end}()`);
  }
});
afterAll(() => proxied.close());
afterEach(() => proxied.closeOrms());
beforeEach(async () => {
  Object.assign(proxied.proxy, { commitAnswer: 'pass', cutAt: undefined });
  told = [];
  unknown = [];
  await execute('delete from "user"; delete from late; delete from seats');
});

const execute = <Row extends object>(sql: string): Promise<Row[]> => proxied.execute(sql);

function openOrm(driverOptions?: object): MikroORM {
  const orm = proxied.openOrm(driverOptions);
  void new EntitySerializer(orm);
  return orm;
}

/** Has what is told of the end of a transaction noted under a name. */
function tell(em: EntityManager, name: string): void {
  const note = (end: string) => (): void => void told.push(`${name}: ${end}`);
  afterCommit(em, note('committed'), {
    onRollback: note('rolled back'),
    onUnknown: (error) => {
      unknown.push(error);
      note('unknown')();
    },
  });
}

/** Writes a row beside. */
async function write(em: EntityManager, name: string): Promise<void> {
  tell(em, name);
  em.create(User, { id: Math.floor(Math.random() * 1e9), name, email: '' });
  await em.flush();
}

/** Cuts the connection of a transaction, and waits until the client knows. */
async function cut(em: EntityManager): Promise<void> {
  const [{ pid }] = (await em.execute('select pg_backend_pid() as pid')) as [{ pid: number }];
  await execute(`select pg_terminate_backend(${pid})`);
  await sleep(50);
}

const stop = (): never => {
  throw new Error('on purpose');
};

/** A transaction, by either way of MikroORM's; what it fails with is returned. */
type InTransaction = (orm: MikroORM, work: (em: EntityManager) => Promise<unknown>) => Promise<unknown>;

const ways: Record<string, InTransaction> = {
  'em.transactional': (orm, work) =>
    orm.em
      .fork()
      .transactional(work)
      .catch((error: unknown) => error),
  'begin and commit': async (orm, work) => {
    const em = orm.em.fork();
    await em.begin();
    try {
      await work(em);
      await em.commit();
      return undefined;
    } catch (error) {
      await em.rollback().catch(() => {});
      return error;
    }
  },
  'begin and commit, without a rollback where COMMIT fails': async (orm, work) => {
    const em = orm.em.fork();
    await em.begin();
    try {
      await work(em);
    } catch (error) {
      await em.rollback().catch(() => {});
      return error;
    }
    return em.commit().catch((error: unknown) => error);
  },
};

/** By either way of MikroORM's. */
const nestedWays: Record<
  string,
  (em: EntityManager, work: (em: EntityManager) => Promise<unknown>) => Promise<unknown>
> = {
  'em.transactional': (em, work) => em.transactional(work),
  'begin and commit': byHand,
};

interface Case {
  readonly work: (em: EntityManager) => Promise<unknown>;
  readonly told: readonly string[];
  /** The rows that are there afterwards. */
  readonly truth: readonly string[];
  /** Whether MikroORM says that it was committed. */
  readonly resolves: boolean;
}

const cases: Record<string, Case> = {
  'it commits': {
    work: (em) => write(em, 'a'),
    told: ['a: committed'],
    truth: ['a'],
    resolves: true,
  },
  'it throws': {
    work: (em) => write(em, 'a').then(stop),
    told: ['a: rolled back'],
    truth: [],
    resolves: false,
  },
  'its connection is cut before COMMIT': {
    work: (em) => write(em, 'a').then(() => cut(em)),
    told: ['a: unknown'],
    truth: [],
    resolves: false,
  },
  'the answer to COMMIT is lost': {
    work: async (em) => {
      await write(em, 'a');
      proxied.proxy.commitAnswer = 'lose';
    },
    told: ['a: unknown'],
    truth: ['a'],
    resolves: false,
  },
  'it throws, and its ROLLBACK finds the connection cut': {
    work: (em) =>
      write(em, 'a')
        .then(() => cut(em))
        .then(stop),
    told: ['a: rolled back'],
    truth: [],
    resolves: false,
  },
  'a statement finds its connection cut': {
    work: (em) =>
      write(em, 'a')
        .then(() => cut(em))
        .then(() => em.execute('select 1')),
    told: ['a: rolled back'],
    truth: [],
    resolves: false,
  },
  'a deferred constraint refuses COMMIT': {
    work: async (em) => {
      await write(em, 'a');
      await em.execute('insert into late values (1, 2)');
    },
    told: ['a: rolled back'],
    truth: [],
    resolves: false,
  },
  'its session is terminated while COMMIT runs': {
    work: (em) => write(em, 'a').then(() => em.execute('insert into terminate values (1)')),
    told: ['a: unknown'],
    truth: [],
    resolves: false,
  },
  'COMMIT is cancelled while it runs': {
    work: (em) => write(em, 'a').then(() => em.execute('insert into cancel values (1)')),
    told: ['a: rolled back'],
    truth: [],
    resolves: false,
  },
  'a statement has failed and its error was caught': {
    work: async (em) => {
      await em.execute('select no_such_column').catch(() => {});
      // What is registered afterwards, too.
      tell(em, 'a');
    },
    told: ['a: rolled back'],
    truth: [],
    resolves: true,
  },
  'a flush has failed and its error was caught': {
    work: async (em) => {
      await write(em, 'a');
      const [{ id }] = (await em.execute('select id from "user"')) as [{ id: number }];
      await em.insert(User, { id, name: 'twice', email: '' } as never).catch(() => {});
    },
    told: ['a: rolled back'],
    truth: [],
    resolves: true,
  },
  'a statement has failed in a savepoint that was rolled back': {
    work: async (em) => {
      await write(em, 'a');
      await em
        .transactional(async (inner) => {
          await write(inner, 'b');
          await inner.execute('select no_such_column');
        })
        .catch(() => {});
      await write(em, 'c');
    },
    told: ['b: rolled back', 'a: committed', 'c: committed'],
    truth: ['a', 'c'],
    resolves: true,
  },
};

for (const [way, inTransaction] of Object.entries(ways)) {
  describe(way, () => {
    test.each(Object.entries(cases))('%s', async (_, { work, ...expected }) => {
      const orm = openOrm();
      const outcome = await inTransaction(orm, work);
      await sleep(20);
      const rows = await execute<{ name: string }>('select name from "user" order by name');
      const resolves = outcome === undefined;
      expect({ told, truth: rows.map(({ name }) => name), resolves }).toEqual(expected);
      for (const error of unknown) expect([error.code, error.cause]).toEqual(['E_COMMIT_UNKNOWN', expect.any(Error)]);
    });
  });
}

test.each(Object.entries(ways))('%s: nothing is run in a transaction whose BEGIN failed', async (_, inTransaction) => {
  const orm = openOrm();
  // What the pool has is what is cut.
  await orm.em.fork().execute('select 1');
  proxied.proxy.cutAt = 'begin';
  let isRun = false;
  const begun = inTransaction(orm, async (em) => {
    isRun = true;
    tell(em, 'a');
  });
  const error = await begun.catch((reason: unknown) => reason);
  expect([isRun, told, error]).toEqual([
    false,
    [],
    expect.objectContaining({ message: expect.stringMatching(/terminated/) }),
  ]);
  proxied.proxy.cutAt = undefined;
  await orm.em.fork().transactional((em) => write(em, 'b'));
  expect(told).toEqual(['b: committed']);
});

describe.each(Object.entries(nestedWays))('nested by %s', (_, nested) => {
  test('a savepoint has the end of what is around it, known or not', async () => {
    const orm = openOrm();
    const lose = orm.em.fork().transactional(async (em) => {
      await write(em, 'a');
      await nested(em, (inner) => write(inner, 'b'));
      proxied.proxy.commitAnswer = 'lose';
    });
    await expect(lose).rejects.toThrow();
    await sleep(20);
    expect(told).toEqual(['a: unknown', 'b: unknown']);
  });

  test('one that is rolled back is so for certain, whatever becomes of the rest', async () => {
    const orm = openOrm();
    const lose = orm.em.fork().transactional(async (em) => {
      await write(em, 'a');
      await nested(em, (inner) => write(inner, 'b').then(stop)).catch(() => {});
      proxied.proxy.commitAnswer = 'lose';
    });
    await expect(lose).rejects.toThrow();
    await sleep(20);
    expect(told).toEqual(['b: rolled back', 'a: unknown']);
  });

  test('the connection is cut in one, and the error is caught', async () => {
    const orm = openOrm();
    const lost = orm.em.fork().transactional(async (em) => {
      await write(em, 'a');
      await nested(em, async (inner) => {
        await write(inner, 'b');
        await cut(inner);
        await inner.execute('select 1');
      }).catch(() => {});
    });
    await expect(lost).rejects.toThrow();
    await sleep(20);
    expect(told).toEqual(['b: rolled back', 'a: unknown']);
  });
});

type Move = 'write' | 'fail and catch' | 'throw' | Move[];

/** What a transaction does; a list is a savepoint, whose error is caught. */
const moves: fc.Memo<Move[]> = fc.memo((depth) => {
  const move = fc.constantFrom<Move[]>('write', 'write', 'write', 'fail and catch', 'throw');
  return fc.array(depth > 1 ? fc.oneof(move, moves()) : move, { maxLength: 4 });
});

test('any transaction that ends in any way: what is told is true, and told once', async () => {
  const end = fc.constantFrom('commit', 'lose', 'cut');
  const way = fc.constantFrom(...Object.values(ways));
  const nested = fc.constantFrom(...Object.values(nestedWays));
  await fc.assert(
    fc.asyncProperty(moves(4), end, way, nested, async (list, theEnd, inTransaction, inSavepoint) => {
      const names: string[] = [];
      const make = async (em: EntityManager, move: Move): Promise<unknown> => {
        if (Array.isArray(move)) return inSavepoint(em, (inner) => makeAll(inner, move)).catch(() => {});
        if (move === 'throw') return stop();
        if (move === 'fail and catch') return em.execute('select no_such_column').catch(() => {});
        const name = String(names.length);
        names.push(name);
        tell(em, name);
        return em.execute(
          `insert into "user" (id, name, email, version, updated_at) values (${name}, '${name}', '', 1, now())`,
        );
      };
      const makeAll = async (em: EntityManager, all: readonly Move[]): Promise<void> => {
        for (const move of all) await make(em, move);
      };
      [told, unknown] = [[], []];
      await execute('delete from "user"');
      await inTransaction(openOrm(), async (em) => {
        await makeAll(em, list);
        if (theEnd === 'cut') await cut(em);
        if (theEnd === 'lose') proxied.proxy.commitAnswer = 'lose';
      });
      proxied.proxy.commitAnswer = 'pass';
      await proxied.closeOrms();
      const rows = await execute<{ name: string }>('select name from "user"');
      const there = new Set(rows.map(({ name }) => name));
      expect(told).toHaveLength(names.length);
      for (const name of names) {
        const truth = `${name}: ${there.has(name) ? 'committed' : 'rolled back'}`;
        const mayBeTold = theEnd === 'commit' ? [truth] : [truth, `${name}: unknown`];
        expect(mayBeTold).toContainEqual(told.find((line) => line.startsWith(`${name}: `)));
      }
    }),
    { numRuns: 60 },
  );
});

test('a serialization failure at COMMIT is a rollback', async () => {
  const orm = openOrm();
  await execute('insert into seats values (1, 0), (2, 0)');
  const isolationLevel = 'serializable' as never;
  const take = (em: EntityManager, seat: number) =>
    em.execute(`update seats set taken = (select sum(taken) from seats) + 1 where id = ${seat}`);
  const [one, other] = [orm.em.fork(), orm.em.fork()];
  await one.begin({ isolationLevel });
  await other.begin({ isolationLevel });
  await take(one, 1);
  await take(other, 2);
  await write(one, 'one');
  await write(other, 'other');
  await one.commit();
  await expect(other.commit()).rejects.toMatchObject({ code: '40001' });
  expect(told).toEqual(['one: committed', 'other: rolled back']);
});

test('a ROLLBACK that succeeds after a COMMIT without an answer proves nothing', async () => {
  const orm = openOrm(isMikroOrm6 ? { connection: { query_timeout: 1_000 } } : { query_timeout: 1_000 });
  const late = orm.em.fork().transactional(async (em) => {
    await write(em, 'a');
    proxied.proxy.commitAnswer = 1_300;
  });
  await expect(late).rejects.toThrow('timeout');
  await soon(() => told.length > 0);
  expect([told, await execute('select name from "user"')]).toEqual([['a: unknown'], [{ name: 'a' }]]);
});

test('a ROLLBACK while COMMIT is under way does not tell of a rollback', async () => {
  const orm = openOrm();
  const em = orm.em.fork();
  await em.begin();
  await write(em, 'a');
  proxied.proxy.commitAnswer = 300;
  const committing = em.commit().catch(() => {});
  await sleep(100);
  await em.rollback().catch(() => {});
  await committing;
  await soon(() => told.length > 0);
  // Knex gives up the COMMIT where it is asked for a ROLLBACK.
  expect(told).toEqual([isMikroOrm6 ? 'a: unknown' : 'a: committed']);
});

test('a transaction that MikroORM was handed', async () => {
  const orm = openOrm();
  for (const end of ['commit', 'rollback'] as const) {
    const em = orm.em.fork();
    const [transaction, finish] = await beginApart(em);
    em.setTransactionContext(transaction as never);
    await write(em, end);
    await finish(end);
  }
  expect(told).toEqual(['commit: committed', 'rollback: rolled back']);
});

/** A transaction of Kysely's or Knex's own, of which MikroORM has no events. */
async function beginApart(
  em: EntityManager,
): Promise<[transaction: object, end: (name: 'commit' | 'rollback') => Promise<unknown>]> {
  if (isMikroOrm6) {
    const { getKnex } = em as unknown as {
      getKnex(): { transaction(): Promise<Record<string, () => Promise<unknown>>> };
    };
    const transaction = await getKnex.call(em).transaction();
    return [transaction, (name) => transaction[name]!()];
  }
  const transaction = await em.getKysely().startTransaction().execute();
  return [transaction, (name) => transaction[name]().execute()];
}

/** Statements that fail, past MikroORM's own way of sending them. */
const failing: Record<string, (em: EntityManager) => Promise<unknown>> = isMikroOrm6
  ? {
      Knex: (em) => {
        const transaction = em.getTransactionContext() as unknown as { raw(sql: string): Promise<unknown> };
        return transaction.raw('select no');
      },
    }
  : {
      Kysely: (em) => em.getKysely<{ no: object }>().selectFrom('no').selectAll().execute(),
      'Kysely with a plugin': (em) =>
        em.getKysely<{ user: { no: 1 } }>({ convertValues: true }).selectFrom('user').select('no').execute(),
      'a stream': async (em) => {
        const rows = em.stream(User, { where: { [raw('no')]: 1 } as never });
        for await (const row of rows) void row;
      },
    };

test.each(Object.entries(failing))('a statement that %s sent has failed and its error was caught', async (_, fail) => {
  await openOrm().em.transactional(async (em) => {
    await write(em, 'a');
    await expect(fail(em)).rejects.toThrow(/\bno\b/);
  });
  expect([told, await execute('select name from "user"')]).toEqual([['a: rolled back'], []]);
});

test('nothing is left behind on what is used again', async () => {
  const orm = openOrm({});
  const em = orm.em.fork();
  const connectionOf = async (transaction: unknown): Promise<object> => {
    const { getExecutor, client } = transaction as {
      getExecutor?(): { provideConnection(use: (connection: object) => Promise<object>): Promise<object> };
      client: { acquireConnection(): Promise<object> };
    };
    if (getExecutor === undefined) return client.acquireConnection();
    return getExecutor.call(transaction).provideConnection(async (connection) => connection);
  };
  const methods = (object: object): unknown[] => Object.values(object).filter((value) => typeof value === 'function');
  const before = methods(em);
  const lists: unknown[] = [];
  for (const end of ['commit', 'rollback'] as const) {
    await em.begin();
    const connection = await connectionOf(em.getTransactionContext());
    await write(em, end);
    await em[end]();
    lists.push(['executeQuery', 'streamQuery', 'query'].filter((name) => Object.hasOwn(connection, name)));
  }
  expect([methods(em), lists]).toEqual([before, [[], []]]);
});
