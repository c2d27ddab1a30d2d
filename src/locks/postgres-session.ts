import { once } from '../once.ts';
import { ByReferenceError } from '../errors.ts';
import { DatabaseSession, type SessionClient } from './database-session.ts';
import { DURABLE, growing, keepalives, tryLock } from './postgres-statements.ts';
import type { Granted } from './session-locks.ts';
import { about, pause } from './waiting.ts';

/** What of `pg.Client` is used. */
export interface PostgresClientLike {
  /** Opens the connection. */
  connect(): Promise<unknown>;
  /** Runs one statement. */
  query(text: string): Promise<{ readonly rows: readonly object[] }>;
  /** Tells of what `NOTIFY` says. */
  on(event: 'notification', listener: (message: { channel: string; payload?: string | undefined }) => void): unknown;
  /** Tells of what ends the connection. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Tells when the connection has ended. */
  on(event: 'end', listener: () => void): unknown;
  /** Closes the connection. */
  end(): Promise<void>;
  /** Has the connection keep the process alive. */
  ref?(): void;
  /** Lets the process end although the connection is open. */
  unref?(): void;
}

/** A key as PostgreSQL knows it: two of its 64-bit advisory locks. */
export interface LockNumbers {
  /** Held by the holder. */
  readonly holder: string;
  /** Shared by the sessions that wait, so that a release knows whether to notify anybody. */
  readonly waiters: string;
}

export interface SessionOptions {
  readonly heartbeatMs: number;
  /** The sequence that tokens are drawn from. */
  readonly tokenSequence: string | undefined;
}

const CHANNEL = 'mikro_orm_byref_locks';

/**
 * One session of PostgreSQL, whose advisory locks last until they are released or the session ends. Statements go one
 * at a time, and none of them waits in the server: a key that is taken delays no other key.
 *
 * A session holds a lock as often as it is asked to: the caller sees to it that a key is asked for once at a time.
 */
export class PostgresSession extends DatabaseSession {
  readonly #heartbeatMs: number;
  readonly #tokenSequence: string | undefined;
  /** Wakes the call that waits for a lock, by its number. */
  readonly #wake = new Map<string, () => void>();
  readonly #listen = once(() => this.query(`listen ${CHANNEL}`));

  private constructor(client: PostgresClientLike, { heartbeatMs, tokenSequence }: SessionOptions) {
    super(sessionClient(client), heartbeatMs);
    this.#heartbeatMs = heartbeatMs;
    this.#tokenSequence = tokenSequence;
    client.on('error', (error) => this.drop(error));
    client.on('end', () => this.drop(new Error('The connection that held the locks has ended.')));
    client.on('notification', ({ channel, payload }) => {
      if (channel === CHANNEL) this.#wake.get(payload ?? '')?.();
    });
  }

  /** Throws E_INVALID_OPTION where there is no such sequence. */
  static async open(client: PostgresClientLike, options: SessionOptions): Promise<PostgresSession> {
    const session = new PostgresSession(client, options);
    const answered = session.watch();
    try {
      await Promise.race([client.connect(), rejectedBy(session.lost)]);
    } finally {
      answered();
    }
    client.unref?.();
    await session.#prepare().catch((error: unknown) => {
      session.drop(error);
      throw error;
    });
    return session;
  }

  /** Tries until it has the lock, or until `signal` is aborted. */
  async lock(lock: LockNumbers, signal: AbortSignal, pollMs: number): Promise<Granted | undefined> {
    const atOnce = await this.#tryLock(lock);
    if (atOnce !== undefined || signal.aborted) return atOnce;
    await this.#listen();
    // False while a release looks for waiters: then it is found by asking again.
    const isAnnounced = await this.#ask(`pg_try_advisory_lock_shared('${lock.waiters}')`);
    let isReleased = false;
    let wake = (): void => undefined;
    this.#wake.set(lock.holder, () => {
      isReleased = true;
      wake();
    });
    try {
      // Announced first, tried second: a release in between is seen by the one or the other.
      for (;;) {
        const granted = await this.#tryLock(lock);
        if (granted !== undefined || signal.aborted) return granted;
        // It may have been told before the answer of the try was read.
        if (!isReleased) await pause(about(pollMs), [signal, this.lost], (end) => (wake = end));
        isReleased = false;
      }
    } finally {
      this.#wake.delete(lock.holder);
      if (isAnnounced) await this.query(`select pg_advisory_unlock_shared('${lock.waiters}')`).catch(this.fail);
    }
  }

  /** Never rejects: if the lock can't be released, or was not there to be released, the session is dropped. */
  async unlock(lock: LockNumbers): Promise<void> {
    try {
      const wasHeld = await this.#ask(
        `pg_advisory_unlock('${lock.holder}'), case when pg_try_advisory_xact_lock('${lock.waiters}') then null else pg_notify('${CHANNEL}', '${lock.holder}')::text end`,
      );
      if (!wasHeld) throw new Error('The session no longer held the lock: is there a pooler that shares sessions?');
    } catch (error) {
      this.fail(error);
    }
  }

  /** Its errors have a severity. */
  protected override isAnswer(error: unknown): boolean {
    return typeof (error as { severity?: unknown } | null)?.severity === 'string';
  }

  protected override isEnd(error: unknown): boolean {
    return /^(?:57P|08)/.test((error as { code?: string }).code ?? '');
  }

  async #prepare(): Promise<void> {
    await this.query(keepalives(this.#heartbeatMs));
    const sequence = this.#tokenSequence;
    if (sequence === undefined) return;
    await this.query(DURABLE);
    if ((await this.query(growing(sequence))).length === 0) {
      const expected = 'a sequence of this database, as by create sequence: growing, without cache and cycle';
      throw ByReferenceError.invalidOption('option tokenSequence', expected, sequence);
    }
  }

  /**
   * Where no answer came, as with a time-out of the client's own, the lock may be there: it is let go. So it is where
   * there was no token for it.
   */
  async #tryLock(lock: LockNumbers): Promise<Granted | undefined> {
    try {
      const [row] = await this.query(tryLock(lock.holder, this.#tokenSequence));
      const { held, token } = row as { readonly held: boolean; readonly token?: string };
      if (!held) return undefined;
      return token === undefined ? {} : { token: BigInt(token) };
    } catch (error) {
      const mayBeHeld = !this.isAnswer(error) || this.#tokenSequence !== undefined;
      if (mayBeHeld) await this.query(`select pg_advisory_unlock('${lock.holder}')`).catch(this.fail);
      throw error;
    }
  }

  /** What the first of the called functions says. */
  async #ask(calls: string): Promise<boolean> {
    const [row] = await this.query(`select ${calls}`);
    return Object.values(row!)[0] === true;
  }
}

const sessionClient = (client: PostgresClientLike): SessionClient => ({
  query: async (sql) => (await client.query(sql)).rows,
  end: () => client.end(),
  ref: () => client.ref?.(),
  unref: () => client.unref?.(),
});

const rejectedBy = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }));
