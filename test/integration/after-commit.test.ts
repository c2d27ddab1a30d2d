import { setTimeout as sleep } from 'node:timers/promises';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { type EntityManager, type EventSubscriber, TransactionPropagation } from '@mikro-orm/core';
import fc from 'fast-check';
import { afterCommit, EntitySerializer } from 'mikro-orm-byref';
import { domain, User } from '../../fixtures/domain.ts';
import { isMikroOrm6, schemaOf } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { byHand } from '../support/by-hand.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';
import { testWith } from '../support/test-with.ts';
import { soon } from '../support/soon.ts';

let database: TestOrm;
let ran: string[];

beforeAll(async () => {
  database = await openDatabase(domain);
  // Two serializers of one ORM: still each callback once.
  void [new EntitySerializer(database.orm), new EntitySerializer(database.orm)];
});
afterAll(() => database.close());
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  ran = [];
});

const fork = () => database.orm.em.fork();
const note = (em: EntityManager, name: string): void => afterCommit(em, () => void ran.push(name));
/** Its callback is the last: what should not have run before it never will. */
const laterCommit = (): Promise<void> => fork().transactional(async (em) => note(em, 'later'));
const fail = (): never => {
  throw new Error('rolled back on purpose');
};

test('runs after the commit, not before', async () => {
  await fork().transactional(async (em) => {
    note(em, 'a');
    await em.execute('select 1');
    expect(ran).toEqual([]);
  });
  expect(ran).toEqual(['a']);
});

test('runs at once without a transaction', () => {
  note(fork(), 'now');
  expect(ran).toEqual(['now']);
});

test('never runs after a rollback', async () => {
  await expect(
    fork().transactional(async (em) => {
      note(em, 'a');
      fail();
    }),
  ).rejects.toThrow('on purpose');
  const em = fork();
  await em.begin();
  note(em, 'b');
  await em.rollback();
  await laterCommit();
  expect(ran).toEqual(['later']);
});

test('begin and commit count as a transaction, and so does the one of a flush', async () => {
  const em = fork();
  await em.begin();
  note(em, 'explicit');
  expect(ran).toEqual([]);
  await em.commit();
  expect(ran).toEqual(['explicit']);
  const own = fork();
  const subscriber = {
    async afterCreate(args: { em: EntityManager }) {
      note(args.em, `in transaction: ${args.em.isInTransaction()}`);
    },
  };
  own.getEventManager().registerSubscriber(subscriber as never);
  own.create(User, { id: 1, name: 'a', email: 'b' });
  await own.flush();
  own
    .getEventManager()
    .getSubscribers()
    .delete(subscriber as never);
  expect(ran).toEqual(['explicit', 'in transaction: true']);
});

test('a savepoint waits for the outermost commit, and takes its callbacks along when it rolls back', async () => {
  await fork().transactional(async (em) => {
    note(em, 'outer');
    await em.transactional(async (inner) => {
      note(inner, 'released');
      await inner.transactional(async (innermost) => note(innermost, 'innermost'));
    });
    await em
      .transactional(async (inner) => {
        await inner.transactional(async (innermost) => note(innermost, 'released inside a rolled-back one'));
        note(inner, 'rolled back');
        fail();
      })
      .catch(() => {});
    expect(ran).toEqual([]);
  });
  expect(ran).toEqual(['outer', 'released', 'innermost']);
});

test('onRollback is told of each callback that goes down with its savepoint, once', async () => {
  const told: string[] = [];
  const tell = (em: EntityManager, name: string): void =>
    afterCommit(em, () => void ran.push(name), { onRollback: () => told.push(name) });
  await fork().transactional(async (em) => {
    tell(em, 'outer');
    await em
      .transactional(async (inner) => {
        await inner.transactional(async (innermost) => tell(innermost, 'innermost'));
        tell(inner, 'inner');
        expect(told).toEqual([]);
        fail();
      })
      .catch(() => {});
    expect(told).toEqual(['innermost', 'inner']);
  });
  expect([ran, told]).toEqual([['outer'], ['innermost', 'inner']]);
});

test('savepoints that are begun by hand', async () => {
  const outer = fork();
  await outer.begin();
  const savepoint = async (): Promise<EntityManager> => {
    const em = fork();
    await em.begin({ ctx: outer.getTransactionContext() });
    return em;
  };
  const lost = await savepoint();
  note(lost, 'lost');
  await lost.rollback();
  const kept = await savepoint();
  note(kept, 'kept');
  await kept.commit();
  expect(ran).toEqual([]);
  await outer.commit();
  expect(ran).toEqual(['kept']);
});

interface Savepoint {
  readonly way: 'transactional' | 'by hand';
  readonly notes: boolean;
  readonly rollsBack: boolean;
  readonly inner: readonly Savepoint[];
}

const savepoint: fc.Memo<Savepoint> = fc.memo((depth) =>
  fc.record({
    way: fc.constantFrom('transactional' as const, 'by hand' as const),
    notes: fc.boolean(),
    rollsBack: fc.boolean(),
    inner: depth > 1 ? fc.array(savepoint(), { maxLength: 3 }) : fc.constant([]),
  }),
);

test('any savepoints in a transaction: what was in one that rolled back is told so, all else goes with the commit', async () => {
  await fc.assert(
    fc.asyncProperty(savepoint(4), async (tree) => {
      const told: string[] = [];
      const expected: string[] = [];
      const visit = async (
        em: EntityManager,
        { notes, rollsBack, inner }: Savepoint,
        path: string,
        isLost: boolean,
      ) => {
        const goesDown = isLost || rollsBack;
        if (notes) {
          afterCommit(em, () => void told.push(`${path} committed`), {
            onRollback: () => told.push(`${path} rolled back`),
          });
          expected.push(`${path} ${goesDown ? 'rolled back' : 'committed'}`);
        }
        for (const [index, child] of inner.entries()) {
          const work = (own: EntityManager) => visit(own, child, `${path}.${index}`, goesDown);
          await (child.way === 'transactional' ? em.transactional(work) : byHand(em, work)).catch(() => {});
        }
        if (rollsBack) fail();
      };
      await fork()
        .transactional((em) => visit(em, tree, 'root', false))
        .catch(() => {});
      expect(told.sort()).toEqual(expected.sort());
    }),
    { numRuns: 60 },
  );
});

test('a failure that is caught in a savepoint leaves the transaction and its callbacks', async () => {
  await fork().transactional(async (em) => {
    em.create(User, { id: 1, name: 'Ann', email: 'a' });
    await em.flush();
    note(em, 'committed');
    const twice = em.transactional((inner) => inner.execute(`insert into "user" (id) values (1)`));
    await expect(twice).rejects.toThrow();
  });
  await laterCommit();
  expect([ran, await fork().count(User)]).toEqual([['committed', 'later'], 1]);
});

testWith('abortedTransactions')('a failure that is caught without one is found by the next statement', async () => {
  const ended = fork().transactional(async (em) => {
    note(em, 'committed');
    await em.execute('select no_such_column').catch(() => undefined);
    await em.execute('select 1');
  });
  await expect(ended).rejects.toThrow(/current transaction is aborted/);
  await laterCommit();
  expect(ran).toEqual(['later']);
});

testWith('abortedTransactions')('a savepoint that the database does not release counts as rolled back', async () => {
  const told: string[] = [];
  await fork().transactional(async (em) => {
    note(em, 'outer');
    em.create(User, { id: 1, name: 'a', email: 'b' });
    await em.flush();
    const inner = em.transactional(async (own) => {
      afterCommit(own, () => void ran.push('inner'), { onRollback: () => told.push('inner') });
      await own
        .getConnection()
        .execute('select 1 / 0', [], 'all', own.getTransactionContext())
        .catch(() => {});
    });
    await expect(inner).rejects.toThrow('current transaction is aborted');
    expect(told).toEqual(['inner']);
  });
  expect(ran).not.toContain('inner');
});

if (driver === 'sqlite') {
  test('a COMMIT that is refused leaves the transaction open', async () => {
    // MikroORM 6 does not send the ROLLBACK after it, so that the connection is of no more use.
    const own = await openDatabase(domain);
    void new EntitySerializer(own.orm);
    const told: string[] = [];
    const em = own.orm.em.fork();
    await em.begin();
    afterCommit(em, () => void told.push('committed'), { onRollback: () => void told.push('rolled back') });
    await em.execute('pragma defer_foreign_keys = on');
    await em.execute(`insert into post (id, title, body, version, author_id) values (1, '', '', 1, 7)`);
    await expect(em.commit()).rejects.toThrow('FOREIGN KEY');
    if (!isMikroOrm6) {
      expect(told).toEqual([]);
      em.create(User, { id: 7, name: 'late', email: '' });
      await em.commit();
    }
    expect(told).toEqual([isMikroOrm6 ? 'rolled back' : 'committed']);
    await own.close();
  });
}

test('the EntityManager of a savepoint that is released belongs to what is around it', async () => {
  const em = fork();
  await em.begin();
  let inner: EntityManager | undefined;
  await em.transactional(async (own) => void (inner = own));
  note(inner!, 'late');
  expect(ran).toEqual([]);
  await em.commit();
  expect(ran).toEqual(['late']);
  note(inner!, 'at once');
  expect(ran).toEqual(['late', 'at once']);
});

test('a released savepoint goes down with the transaction around it', async () => {
  await expect(
    fork().transactional(async (em) => {
      await em.transactional(async (inner) => note(inner, 'inner'));
      fail();
    }),
  ).rejects.toThrow('on purpose');
  expect(ran).toEqual([]);
});

/** Where these are asked for inside a transaction, they take a connection beside it. */
const BESIDE = new Set([TransactionPropagation.REQUIRES_NEW, TransactionPropagation.NOT_SUPPORTED]);
const yesOrNo = [true, false];

for (const propagation of Object.values(TransactionPropagation)) {
  const testHere = testWith(...(BESIDE.has(propagation) ? (['connections'] as const) : []));

  /** Writes rows, and returns the numbers of those that were written, with what was told of each. */
  async function tellAll(isNested: boolean, innerFails: boolean, outerFails: boolean): Promise<Map<number, string>> {
    const told = new Map<number, string>();
    const write = async (em: EntityManager, id: number): Promise<void> => {
      const tell = (end: string) => (): void => void told.set(id, told.get(id)! + end);
      told.set(id, '');
      afterCommit(em, tell('committed'), { onRollback: tell('rolled back') });
      await em.insert(User, { id, name: '', email: '', version: 1, updatedAt: new Date() } as never);
    };
    const inner = async (em: EntityManager): Promise<void> => {
      await write(em, 2);
      if (innerFails) fail();
    };
    const outer = async (em: EntityManager): Promise<void> => {
      await write(em, 1);
      await em.transactional(inner, { propagation }).catch(() => {});
      await write(em, 3);
      if (outerFails) fail();
    };
    await (isNested ? fork().transactional(outer) : fork().transactional(inner, { propagation })).catch(() => {});
    return told;
  }

  testHere(`propagation ${propagation}: what is told is what became of the rows, whatever fails`, async () => {
    for (const isNested of yesOrNo) {
      const isRefused = propagation === TransactionPropagation[isNested ? 'NEVER' : 'MANDATORY'];
      const written = [...(isNested ? [1] : []), ...(isRefused ? [] : [2]), ...(isNested ? [3] : [])];
      for (const innerFails of yesOrNo) {
        for (const outerFails of yesOrNo) {
          await schemaOf(database.orm).clear();
          const told = await tellAll(isNested, innerFails, outerFails);
          const rows = new Set((await fork().find(User, {})).map(({ id }) => id));
          expect([...told]).toEqual(written.map((id) => [id, rows.has(id) ? 'committed' : 'rolled back']));
        }
      }
    }
  });
}

test('transactions side by side keep their callbacks apart', async () => {
  await Promise.all([
    fork().transactional(async (em) => {
      note(em, 'a');
      await sleep(20);
    }),
    fork()
      .transactional(async (em) => {
        note(em, 'b');
        await sleep(5);
        fail();
      })
      .catch(() => {}),
    fork().transactional(async (em) => {
      await em.transactional(async (inner) => {
        note(inner, 'c');
        await sleep(5);
      });
    }),
  ]);
  expect(ran.sort()).toEqual(['a', 'c']);
});

test('the global EntityManager inside a transaction is the transaction', async () => {
  await fork().transactional(async () => {
    note(database.orm.em, 'ambient');
    expect(ran).toEqual([]);
  });
  expect(ran).toEqual(['ambient']);
});

test('an EntityManager with an event manager of its own is like any other', async () => {
  const fresh = () => database.orm.em.fork({ freshEventManager: true });
  await fresh().transactional(async (em) => {
    note(em, 'outer');
    await em.transactional(async (inner) => note(inner, 'inner'));
    const lost = em.transactional(async (inner) => {
      note(inner, 'lost');
      fail();
    });
    await expect(lost).rejects.toThrow('on purpose');
  });
  const em = fresh();
  await em.begin();
  note(em, 'by hand');
  expect(ran).toEqual(['outer', 'inner']);
  await em.commit();
  expect(ran).toEqual(['outer', 'inner', 'by hand']);
});

test('no listener is on the ORM twice, and none on another one of the same options', async () => {
  const { orm } = database;
  const listeners = (em: EntityManager): string[] =>
    [...em.getEventManager().getSubscribers()].map(({ constructor: { name } }) => name);
  expect(listeners(orm.em.fork({ freshEventManager: true }))).toEqual(['CommitListener']);
  expect(listeners(orm.em)).toEqual(['CommitListener']);
  const subscribers: EventSubscriber[] = [];
  const first = await openDatabase(domain, { subscribers });
  void new EntitySerializer(first.orm);
  const second = await openDatabase(domain, { subscribers });
  expect([listeners(first.orm.em), listeners(second.orm.em)]).toEqual([['CommitListener'], []]);
  await first.close();
  await second.close();
});

test('the callback can query, and sees what was committed', async () => {
  const seen = new Promise((resolve) => {
    void fork().transactional(async (em) => {
      em.create(User, { id: 1, name: 'a', email: 'b' });
      afterCommit(em, async (own) => {
        expect(own.isInTransaction()).toBe(false);
        resolve([await own.count(User), await database.orm.em.count(User)]);
      });
    });
  });
  expect(await seen).toEqual([1, 1]);
});

test('a failing callback goes to onError; the transaction has committed all the same', async () => {
  const errors: unknown[] = [];
  const heard: unknown[] = [];
  const listener = (error: unknown): void => void heard.push(error);
  subscribe('mikro-orm-byref:after-commit-error', listener);
  const outcome = await fork().transactional(async (em) => {
    em.create(User, { id: 1, name: 'a', email: 'b' });
    afterCommit(
      em,
      () => {
        throw new Error('sync');
      },
      { onError: (error) => errors.push((error as Error).message) },
    );
    afterCommit(
      em,
      async () => {
        throw new Error('async');
      },
      { onError: (error) => errors.push((error as Error).message) },
    );
    note(em, 'after them');
    return 'committed';
  });
  await soon(() => errors.length === 2);
  unsubscribe('mikro-orm-byref:after-commit-error', listener);
  expect([outcome, errors, heard.length, ran]).toEqual(['committed', ['sync', 'async'], 2, ['after them']]);
  expect(await fork().count(User)).toBe(1);
});

test('an onError that fails itself is told of, whether it throws or rejects', async () => {
  const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const reporters = [
    () => {
      throw new Error('it throws');
    },
    async () => {
      throw new Error('it rejects');
    },
  ];
  for (const onError of reporters) await fork().transactional(async (em) => afterCommit(em, fail, { onError }));
  await soon(() => warnings.mock.calls.length > 1);
  expect(warnings.mock.calls.map(([warning]) => /Error: (.*)/.exec(String(warning))?.[1])).toEqual([
    'it throws',
    'it rejects',
  ]);
  warnings.mockRestore();
});

test.each<[string, () => unknown, RegExp]>([
  ['a call for a function', () => afterCommit(fork(), Promise.resolve() as never), /fn: expected a function.*promise/],
  ['nothing to call', () => afterCommit(fork(), undefined as never), /fn: expected a function.*undefined/],
  [
    'a typo',
    () => afterCommit(fork(), fail, { onRolback: fail } as never),
    /option onRolback: expected one of onError/,
  ],
  ['no function', () => afterCommit(fork(), fail, { onRollback: true } as never), /option onRollback: .*a function/],
  ['no options', () => afterCommit(fork(), fail, null as never), /options: expected an object/],
  ['a promise of an EntityManager', () => afterCommit(Promise.resolve(fork()) as never, fail), /em: .*to be awaited/],
  [
    'the global one, outside',
    () => afterCommit(database.orm.em, fail),
    /no EntityManager whose commit.*that of the trans/,
  ],
])('refuses %s at once, saying what is expected', async (_what, call, message) => {
  const error = await failureOf(call);
  expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringMatching(message)]);
});

test('by default it is a process warning', async () => {
  const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  await fork().transactional(async (em) =>
    afterCommit(em, () => {
      throw new Error('unnoticed?');
    }),
  );
  await soon(() => warnings.mock.calls.length > 0);
  expect(warnings.mock.calls).toEqual([[expect.stringContaining('unnoticed?'), 'ByReferenceWarning']]);
  warnings.mockRestore();
});

test('without the listener it refuses instead of never running', async () => {
  const bare = await openDatabase(domain);
  await bare.orm.em.fork().transactional(async (em) => {
    expect((await failureOf(() => afterCommit(em, () => {}))).code).toBe('E_INVALID_OPTION');
  });
  await bare.close();
});
