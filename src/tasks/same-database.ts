import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { executeInTransaction, transactionOf } from '../orm/transaction.ts';

/** Runs a statement without parameters. */
type Ask = (sql: string) => Promise<readonly object[]>;

/** Which database a connection is to. */
interface Identity {
  readonly name: string;
  readonly oid: string;
  /** Of its server. */
  readonly startedAt: string;
  readonly system?: string;
}

/** Proves that an engine's jobs are in the database of the entities: else they could be no part of its transactions. */
export class SameDatabase {
  readonly #engine: string;
  readonly #engineAsks: Ask;
  /** By configuration: the ORMs that it was proved for. */
  readonly #proved = new WeakSet<object>();
  /** Those that the engine serves. */
  readonly #served = new Set<EntityManager>();

  /** `ask` runs a statement on the engine's own connection. */
  constructor(engine: string, ask: Ask) {
    this.#engine = engine;
    this.#engineAsks = ask;
  }

  /** Has the database of an EntityManager be asked for by `requireServed`, once there are connections. */
  serve(em: EntityManager): void {
    this.#served.add(em);
  }

  /** Throws E_UNSUPPORTED, where both can be asked: one that is away is asked when there is a transaction. */
  async requireServed(): Promise<void> {
    for (const em of this.#served) {
      await this.require(em).catch((error: unknown) => {
        if (error instanceof ByReferenceError) throw error;
      });
    }
  }

  /** Throws E_UNSUPPORTED where the database of `em` is another one. Asked for once. */
  async require(em: EntityManager): Promise<void> {
    if (this.#proved.has(em.config)) return;
    const [own, other] = [await identify(asking(em)), await identify(this.#engineAsks)];
    if (!isSame(own, other)) {
      throw ByReferenceError.unsupported(
        `The engine of ${this.#engine} in the database ${JSON.stringify(other.name)}, with entities in ${where(own, other)},`,
        'its jobs are part of the transactions of the entities: connect it to their database, or take bullmqEngine() on Redis',
      );
    }
    this.#proved.add(em.config);
  }
}

const asking =
  (em: EntityManager): Ask =>
  (sql) =>
    transactionOf(em) === undefined ? em.getConnection('write').execute(sql) : executeInTransaction(em, sql);

/** No statement that a role may be refused: it would abort the transaction it is in. */
async function identify(ask: Ask): Promise<Identity> {
  const [row] = (await ask(
    `select datname as name, oid::text as oid, pg_postmaster_start_time()::text as "startedAt",
       has_function_privilege('pg_catalog.pg_control_system()', 'execute') as "mayAsk"
     from pg_catalog.pg_database where datname = current_database()`,
  )) as [Identity & { readonly mayAsk: boolean }];
  if (!row.mayAsk) return row;
  const [control] = await ask('select system_identifier::text as system from pg_catalog.pg_control_system()');
  return { ...row, ...control };
}

/** A pooler may have asked two servers of one cluster. */
const isSame = (one: Identity, other: Identity): boolean =>
  one.oid === other.oid &&
  (one.system === undefined || other.system === undefined
    ? one.startedAt === other.startedAt
    : one.system === other.system);

const where = (own: Identity, other: Identity): string =>
  own.name === other.name ? 'one of that name on another server' : JSON.stringify(own.name);
