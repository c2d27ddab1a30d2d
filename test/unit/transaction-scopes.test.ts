/**
 * What items of a transaction become, by the events of MikroORM 6 and 7 and of drivers that leave some out, as they
 * were recorded, and by what COMMIT is answered with; test/integration/transaction-end.test.ts has the real ones.
 */
import { expect, test } from '@jest/globals';
import type { EntityManager, TransactionEventArgs } from '@mikro-orm/core';
import { EventEmitter } from 'node:events';
import type { End } from '../../src/orm/commit-error.ts';
import { TransactionScopes } from '../../src/transactions/transaction-scopes.ts';

class Recorder extends TransactionScopes<string> {
  readonly told: string[] = [];

  protected override async settled(items: readonly string[], end: End): Promise<void> {
    for (const item of items) this.told.push(`${item}: ${end}`);
  }
}

const TIMED_OUT = new Error('Query read timeout');
const LOST = Object.assign(new Error('Connection terminated unexpectedly'));
const PIPE = Object.assign(new Error('write EPIPE'), { code: 'EPIPE', errno: -32, syscall: 'write' });
const postgres = (code: string, severity = 'ERROR'): Error => Object.assign(new Error(code), { code, severity });
const mysql = (errno: number, sqlState: string): Error => Object.assign(new Error(sqlState), { errno, sqlState });
const sqlite = (code: string): Error => Object.assign(new Error(code), { code });

type Answer = 'COMMIT' | 'ROLLBACK' | Error;

/** As Kysely's, which MikroORM 7 uses: what COMMIT was answered with is for the one that sends it. */
function kysely(answer: Answer, failed: boolean) {
  const connection = {
    async executeQuery({ sql }: { sql: string }) {
      if (answer === 'ROLLBACK' || sql === 'fails') throw postgres('25P02');
      return { rows: [] };
    },
    async *streamQuery() {},
  };
  const transaction = {
    isCommitted: false,
    isRolledBack: false,
    executeQuery: (query: { sql: string }) => connection.executeQuery(query),
    getExecutor: () => ({ provideConnection: async (use: (own: object) => Promise<void>) => use(connection) }),
    commit: () => ({
      async execute() {
        if (answer instanceof Error) throw answer;
        transaction.isCommitted = true;
      },
    }),
    rollback: () => ({ async execute() {} }),
  };
  const begun = async (): Promise<void> => {
    if (failed) await connection.executeQuery({ sql: 'fails' }).catch(() => undefined);
  };
  return { transaction, begun, commit: () => transaction.commit().execute() };
}

/** As Knex's, which MikroORM 6 uses. */
function knex(answer: Answer) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const transaction = {
    client: new EventEmitter(),
    executionPromise: promise as Promise<unknown>,
    isOver: false,
    isCompleted: () => transaction.isOver,
    async commit() {
      transaction.isOver = true;
      if (answer instanceof Error) return void reject(answer);
      resolve();
      return { response: { command: answer } };
    },
    async rollback() {},
  };
  const commit = async (): Promise<unknown> => {
    void transaction.commit();
    return transaction.executionPromise;
  };
  return { transaction, begun: async () => {}, commit };
}

const majors = {
  'MikroORM 7': kysely,
  'MikroORM 6': (answer: Answer, _failed: boolean) => knex(answer),
};

/** One step of a recorded sequence: an event (b before, a after; S start, C commit, R rollback), or COMMIT itself. */
type Step = 'bS' | 'aS' | 'bC' | 'COMMIT' | 'aC' | 'bR' | 'ROLLBACK' | 'aR';

/** What MikroORM dispatches where the database does as told. */
const COMMITS: readonly Step[] = ['bS', 'aS', 'bC', 'COMMIT', 'aC'];
/** COMMIT fails: 7 has no aR where the ROLLBACK fails too. */
const FAILS: readonly Step[] = ['bS', 'aS', 'bC', 'COMMIT', 'bR', 'ROLLBACK'];

const sequences: readonly [name: string, steps: readonly Step[], answer: Answer, end: string, failed?: true][] = [
  ['commit', COMMITS, 'COMMIT', 'committed'],
  ['throws', ['bS', 'aS', 'bR', 'ROLLBACK', 'aR'], 'COMMIT', 'rolled back'],
  ['throws, ROLLBACK cut', ['bS', 'aS', 'bR'], 'COMMIT', 'rolled back'],
  ['a listener before the commit throws', ['bS', 'aS', 'bC', 'bR', 'ROLLBACK', 'aR'], 'COMMIT', 'rolled back'],
  ['cut, then COMMIT', FAILS, postgres('57P01', 'FATAL'), 'unknown'],
  ['cut, then COMMIT on a closed socket', FAILS, PIPE, 'unknown'],
  ['COMMIT’s answer lost', FAILS, LOST, 'unknown'],
  ['COMMIT’s answer lost, with the event of a ROLLBACK', [...FAILS, 'aR'], LOST, 'unknown'],
  ['COMMIT timed out, with a ROLLBACK that succeeds', [...FAILS, 'aR'], TIMED_OUT, 'unknown'],
  ['COMMIT’s answer lost, and nobody rolls back', ['bS', 'aS', 'bC', 'COMMIT'], LOST, 'unknown'],
  ['a pooler has lost the server', FAILS, postgres('08P01', 'FATAL'), 'unknown'],
  ['the server does not know', FAILS, postgres('40003'), 'unknown'],
  ['deferred constraint', [...FAILS, 'aR'], postgres('23503'), 'rolled back'],
  ['serialization failure', [...FAILS, 'aR'], postgres('40001'), 'rolled back'],
  ['deferred constraint, and nobody rolls back', ['bS', 'aS', 'bC', 'COMMIT'], postgres('23503'), 'rolled back'],
  ['swallowed failure', COMMITS, 'ROLLBACK', 'rolled back', true],
  ['swallowed failure of a savepoint that was rolled back', COMMITS, 'COMMIT', 'committed', true],
  ['MySQL: deadlock', [...FAILS, 'aR'], mysql(1213, '40001'), 'rolled back'],
  ['MySQL: an error that does not say', [...FAILS, 'aR'], mysql(1180, 'HY000'), 'unknown'],
  ['MySQL: shutting down', FAILS, mysql(1053, '08S01'), 'unknown'],
  ['SQLite: deferred constraint', [...FAILS, 'aR'], sqlite('SQLITE_CONSTRAINT_FOREIGNKEY'), 'rolled back'],
  ['Oracle, by its own client', FAILS, new Error('NJS-500'), 'unknown'],
  ['COMMIT without the events of a MikroORM', ['COMMIT'], 'COMMIT', 'committed'],
  ['ROLLBACK without the events of a MikroORM', ['ROLLBACK'], 'COMMIT', 'rolled back'],
];

const em = {} as EntityManager;

for (const [major, make] of Object.entries(majors)) {
  test.each(sequences)(`${major}: %s`, async (_, steps, answer, end, failed = false as never) => {
    const scopes = new Recorder();
    const { transaction, begun, commit } = make(answer, failed);
    const args = { em, transaction } as unknown as TransactionEventArgs;
    if (steps[0] !== 'bS') scopes.add(transaction, 'item');
    for (const step of steps) {
      if (step === 'bS') await scopes.beforeTransactionStart({ em } as TransactionEventArgs);
      if (step === 'aS') {
        await scopes.afterTransactionStart(args);
        await begun();
        scopes.add(transaction, 'item');
      }
      if (step === 'COMMIT') await commit().catch(() => undefined);
      if (step === 'ROLLBACK') await rollback(transaction);
      if (step === 'aC') await scopes.afterTransactionCommit(args);
      if (step === 'bR') await scopes.beforeTransactionRollback(args);
    }
    expect(scopes.told).toEqual([`item: ${end}`]);
  });
}

async function rollback(transaction: ReturnType<typeof kysely | typeof knex>['transaction']): Promise<void> {
  const command = transaction.rollback();
  await ('execute' in command ? command.execute() : command);
}

test('SQLite: a COMMIT that was refused may be sent again', async () => {
  const scopes = new Recorder();
  const answers: Answer[] = [sqlite('SQLITE_BUSY'), 'COMMIT'];
  const { transaction } = kysely('COMMIT', false);
  transaction.commit = () => ({
    async execute() {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
    },
  });
  scopes.add(transaction, 'item');
  await expect(transaction.commit().execute()).rejects.toThrow('SQLITE_BUSY');
  expect(scopes.told).toEqual([]);
  await transaction.commit().execute();
  expect(scopes.told).toEqual(['item: committed']);
});

/** How drivers tell of the end of a savepoint. */
const savepoints = {
  'MikroORM 7': { releases: ['bC', 'aC'], rollsBack: ['bR', 'aR'] },
  // Its MySQL, MariaDB and SQL Server.
  'MikroORM 7, without events of a release': { releases: [], rollsBack: ['bR', 'aR'] },
} as const;

/** A transaction with a tree of savepoints in it: `x` is rolled back, `k` is kept. */
const trees: readonly [tree: string, committed: readonly string[], rolledBack: readonly string[]][] = [
  ['k', ['root', 'k'], []],
  ['x', ['root'], ['x']],
  ['k(k)', ['root', 'k', 'k.k'], []],
  ['k(x)', ['root', 'k'], ['k.x']],
  ['x(k)', ['root'], ['x', 'x.k']],
  ['x(k(k)k)', ['root'], ['x', 'x.k', 'x.k.k', 'x.k']],
  ['k(x)k', ['root', 'k', 'k'], ['k.x']],
  ['xk', ['root', 'k'], ['x']],
];

for (const [driver, { releases, rollsBack }] of Object.entries(savepoints)) {
  test.each(trees)(`${driver}: savepoints %s`, async (tree, committed, rolledBack) => {
    for (const end of ['committed', 'rolled back', 'unknown'] as const) {
      const scopes = new Recorder();
      const { transaction, commit } = kysely(end === 'unknown' ? LOST : 'COMMIT', false);
      await scopes.beforeTransactionStart({ em } as TransactionEventArgs);
      await scopes.afterTransactionStart({ em, transaction } as unknown as TransactionEventArgs);
      scopes.add(transaction, 'root');
      await walk(scopes, transaction, '', [...tree]);
      expect(scopes.told).toEqual(rolledBack.map((item) => `${item}: rolled back`));
      scopes.told.length = 0;
      if (end === 'rolled back') await transaction.rollback().execute();
      else await commit().catch(() => undefined);
      expect(scopes.told).toEqual(committed.map((item) => `${item}: ${end}`));
    }
  });

  async function walk(scopes: Recorder, parent: object, path: string, rest: string[]): Promise<void> {
    for (let kind = rest.shift(); kind !== undefined && kind !== ')'; kind = rest.shift()) {
      // Each savepoint by a fork of its own, as in `em.transactional`.
      const fork = {} as EntityManager;
      const savepoint = { savepointName: 'trx', isCommitted: false, isRolledBack: false };
      await scopes.beforeTransactionStart({ em: fork, transaction: parent } as never);
      await scopes.afterTransactionStart({ em: fork, transaction: savepoint } as never);
      scopes.add(savepoint, path + kind);
      if (rest[0] === '(') {
        rest.shift();
        await walk(scopes, savepoint, `${path}${kind}.`, rest);
      }
      for (const event of kind === 'k' ? releases : rollsBack) {
        const args = { em: fork, transaction: savepoint } as never;
        if (event === 'aC') await scopes.afterTransactionCommit(args);
        if (event === 'bR') await scopes.beforeTransactionRollback(args);
      }
    }
  }
}
