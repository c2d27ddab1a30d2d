import {
  type EntityClass,
  type EntityData,
  type EntityManager,
  IsolationLevel,
  LockMode,
  type MikroORM,
  raw,
  type RequiredEntityData,
  TableNotFoundException,
} from '@mikro-orm/core';
import { randomUUID } from 'node:crypto';
import { ByReferenceError } from '../errors.ts';
import { ownFork } from '../orm/context.ts';
import { databaseNow } from '../orm/database-clock.ts';
import { isMysql, isPostgres } from '../orm/platform.ts';
import { PAST_ALL } from '../orm/query-options.ts';
import { transactionOf } from '../orm/transaction.ts';
import { PORTION } from '../tasks/stored-rows.ts';
import type { JsonObject } from '../wire/json.ts';
import { OutboxMessage } from './message.ts';

/** A message that is to be added. */
export interface NewMessage {
  readonly id: string;
  readonly topic: string;
  readonly payload: JsonObject;
}

/** Messages that one relay has taken. */
export interface Claim {
  readonly messages: readonly OutboxMessage[];
  /** By `performance.now()`: from then on they may be another's. */
  readonly endsAt: number;
}

/** What a message that was not handed on is left with. */
export interface Setback {
  readonly error: string;
  /** Until it is due again; undefined for a dead letter. */
  readonly delayMs: number | undefined;
}

/** Past the filters, the result cache and the replicas of the application. */
const READING = { ...PAST_ALL, filters: false, disableIdentityMap: true } as const;

/** The rows of the outbox of one ORM, in the ORM's own schema. */
export class OutboxTable {
  readonly #orm: MikroORM;
  /** As the ORM knows it. */
  readonly #entity: EntityClass<OutboxMessage>;

  /** Throws E_INVALID_OPTION where the ORM does not know the table, or makes no transactions that a row could be of. */
  constructor(orm: MikroORM) {
    if (orm.config.get('disableTransactions')) {
      const expected = 'one whose (first) ORM has transactions: its option disableTransactions is set';
      throw ByReferenceError.invalidOption('serializer', expected, undefined);
    }
    const metadata = [...orm.getMetadata()].find(({ className }) => className === OutboxMessage.name);
    if (metadata === undefined) {
      const expected = 'one with OutboxMessage of mikro-orm-byref/outbox among the entities of its (first) ORM';
      throw ByReferenceError.invalidOption('serializer', expected, undefined);
    }
    this.#orm = orm;
    this.#entity = metadata.class as EntityClass<OutboxMessage>;
  }

  /** Adds rows, in the transaction of `em` where it is in one. One whose id waits already stays as it is. */
  async insert(messages: readonly NewMessage[], em: EntityManager | undefined): Promise<void> {
    const now = new Date();
    const rows = messages.map((message) => ({ ...message, createdAt: now, availableAt: 0, attempts: 0 }));
    const own = ownFork(this.#orm, em && transactionOf(em)) as EntityManager & QueryBuilding;
    await own.createQueryBuilder(this.#entity).insert(rows).onConflict(['id']).ignore().execute('run', false);
  }

  /**
   * Takes messages that are due. Whoever takes others at the same time passes over their rows; where the database can't,
   * the condition of the update has one of them take each.
   */
  async claim(limit: number, leaseMs: number): Promise<Claim> {
    const em = ownFork(this.#orm);
    const endsAt = performance.now() + leaseMs;
    const now = await databaseNow(em);
    const due = { availableAt: { $lte: now } };
    const taken = { claim: randomUUID(), availableAt: now + leaseMs, attempts: raw('attempts + 1') };
    const take = async (own: EntityManager, isLocking: boolean): Promise<readonly string[]> => {
      const rows = await own.find(this.#entity, due, {
        ...READING,
        fields: ['id'],
        orderBy: [{ availableAt: 'asc' }, { createdAt: 'asc' }],
        limit,
        ...(isLocking && { lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE }),
      });
      const ids = rows.map(({ id }) => id);
      // By the key alone where they are locked: MySQL would wait for rows that it passes in another index.
      const free = { id: { $in: ids }, ...(!isLocking && due) };
      if (ids.length > 0) await own.nativeUpdate(this.#entity, free, taken, { filters: false });
      return ids;
    };
    const locks = isPostgres(em.getPlatform()) || isMysql(em.getPlatform());
    const ids = locks ? await withoutGaps(em, (own) => take(own, true)) : await take(em, false);
    const own = { id: { $in: [...ids] }, claim: taken.claim };
    const messages = ids.length === 0 ? [] : await em.find(this.#entity, own, READING);
    // Not by the database, which would have to sort payloads.
    return { messages: messages.toSorted((a, b) => Number(a.createdAt) - Number(b.createdAt)), endsAt };
  }

  /** Those that were handed on are gone, unless they are another's by now. */
  async remove(messages: readonly OutboxMessage[]): Promise<void> {
    await this.#write((em) => em.nativeDelete(this.#entity, claimed(messages), { filters: false }));
  }

  /** Messages that are to be tried again, or no more. */
  async putOff(messages: readonly OutboxMessage[], { error, delayMs }: Setback): Promise<void> {
    const availableAt = delayMs === undefined ? null : (await databaseNow(ownFork(this.#orm))) + delayMs;
    await this.#update(messages, { claim: null, availableAt, error });
  }

  /** Gives messages back that nobody has tried to hand on. */
  async giveBack(messages: readonly OutboxMessage[]): Promise<void> {
    await this.#update(messages, { claim: null, availableAt: 0, attempts: raw('attempts - 1') });
  }

  /** Those of the ids that are dead letters'. */
  async deadAmong(ids: readonly string[]): Promise<readonly string[]> {
    const dead = { id: { $in: [...ids] }, availableAt: null };
    const found = await ownFork(this.#orm).find(this.#entity, dead, { ...READING, fields: ['id'] });
    return found.map(({ id }) => id);
  }

  /** Gives dead letters back to the relays, as new ones; resolves with how many those are. */
  putBack(ids: readonly string[]): Promise<number> {
    const dead = { id: { $in: [...ids] }, availableAt: null };
    const fresh = { availableAt: 0, attempts: 0 };
    return this.#write((em) => em.nativeUpdate(this.#entity, dead, fresh, { filters: false }));
  }

  /** A message that waits, or a dead letter. */
  async find(id: string): Promise<OutboxMessage | undefined> {
    return (await ownFork(this.#orm).findOne(this.#entity, { id }, READING)) ?? undefined;
  }

  /** Takes a message back, in the transaction of `em` where it is in one; false where a relay has it, or nobody. */
  async withdraw(id: string, em: EntityManager | undefined): Promise<boolean> {
    const free = { id, claim: null, availableAt: { $ne: null } };
    const remove = (own: EntityManager): Promise<number> => own.nativeDelete(this.#entity, free, { filters: false });
    const transaction = em && transactionOf(em);
    return (await (transaction === undefined ? this.#write(remove) : remove(ownFork(this.#orm, transaction)))) > 0;
  }

  /** All rows, some at a time, in the transaction of `em` where it is in one; none before a migration has made the table. */
  async *stored(em: EntityManager): AsyncGenerator<readonly OutboxMessage[]> {
    const own = ownFork(this.#orm, transactionOf(em));
    for (let after = ''; ;) {
      const options = { ...READING, orderBy: { id: 'asc' }, limit: PORTION } as const;
      const rows = await own.find(this.#entity, { id: { $gt: after } }, options).catch((error: unknown) => {
        if (error instanceof TableNotFoundException) return [];
        throw error;
      });
      if (rows.length > 0) yield rows;
      if (rows.length < PORTION) return;
      after = rows.at(-1)!.id;
    }
  }

  async #update(messages: readonly OutboxMessage[], data: EntityData<OutboxMessage>): Promise<void> {
    await this.#write((em) => em.nativeUpdate(this.#entity, claimed(messages), data, { filters: false }));
  }

  async #write<T>(write: (em: EntityManager) => Promise<T>): Promise<T> {
    const em = ownFork(this.#orm);
    return isMysql(em.getPlatform()) ? withoutGaps(em, write) : write(em);
  }
}

/** MySQL's default would lock what is between the rows as well, where transactions of the application add theirs. */
const withoutGaps = <T>(em: EntityManager, fn: (em: EntityManager) => Promise<T>): Promise<T> =>
  em.transactional(fn, { isolationLevel: IsolationLevel.READ_COMMITTED });

const claimed = (messages: readonly OutboxMessage[]): { id: { $in: string[] }; claim: string | null } => ({
  id: { $in: messages.map(({ id }) => id) },
  claim: messages[0]!.claim,
});

/** The part of the query builder of SQL drivers that is used here. */
interface QueryBuilding {
  createQueryBuilder(entity: EntityClass<OutboxMessage>): {
    insert(rows: readonly RequiredEntityData<OutboxMessage>[]): {
      onConflict(fields: readonly 'id'[]): {
        ignore(): { execute(method: 'run', mapResults: false): Promise<unknown> };
      };
    };
  };
}
