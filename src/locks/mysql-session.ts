import type { MysqlConnection } from '../orm/mysql-connection.ts';
import { DatabaseSession, type SessionClient } from './database-session.ts';
import type { Granted, LockSession } from './session-locks.ts';
import { about, pause } from './waiting.ts';

/**
 * One session of MySQL or MariaDB, whose GET_LOCK locks last until they are released or it ends. None of its statements
 * waits in the server: a name that is taken delays no other. Nobody tells of a release: who waits asks again.
 */
export class MysqlSession extends DatabaseSession implements LockSession<string> {
  private constructor(connection: MysqlConnection, heartbeatMs: number) {
    super(sessionClient(connection), heartbeatMs);
    connection.on('error', (error) => this.drop(error));
    connection.on('end', () => this.drop(new Error('The connection that held the locks has ended.')));
  }

  static async open(connection: MysqlConnection, heartbeatMs: number): Promise<MysqlSession> {
    const session = new MysqlSession(connection, heartbeatMs);
    connection.stream?.unref?.();
    // Lets the server notice by itself that nobody is there any more: not before the holder has, for whom it takes two.
    await session
      .query(`set session wait_timeout = ${Math.ceil((3 * heartbeatMs) / 1_000)}`)
      .catch((error: unknown) => {
        session.drop(error);
        throw error;
      });
    return session;
  }

  async lock(name: string, signal: AbortSignal, pollMs: number): Promise<Granted | undefined> {
    for (;;) {
      if (await this.#tryLock(name)) return {};
      if (signal.aborted || this.lost.aborted) return undefined;
      await pause(about(pollMs), [signal, this.lost]);
    }
  }

  async unlock(name: string): Promise<void> {
    try {
      if (!(await this.#ask(`release_lock('${name}')`))) {
        throw new Error('The session no longer held the lock: is there a proxy that shares sessions?');
      }
    } catch (error) {
      this.drop(error);
    }
  }

  /** Its errors have a SQLSTATE; those of the client have not. */
  protected override isAnswer(error: unknown): boolean {
    return typeof (error as { sqlState?: unknown } | null)?.sqlState === 'string' && !this.isEnd(error);
  }

  /** The client's own, and of a server that shuts down or was told to kill the session. */
  protected override isEnd(error: unknown): boolean {
    const { fatal, errno } = error as { fatal?: unknown; errno?: unknown };
    return fatal === true || errno === 1053 || errno === 1317 || errno === 1927;
  }

  /** Where no answer came the lock may be there: it is let go. */
  async #tryLock(name: string): Promise<boolean> {
    try {
      return await this.#ask(`get_lock('${name}', 0)`);
    } catch (error) {
      if (!this.isAnswer(error)) await this.query(`select release_lock('${name}')`).catch(this.fail);
      throw error;
    }
  }

  async #ask(call: string): Promise<boolean> {
    const [row] = await this.query(`select ${call} as answer`);
    return Number((row as { answer: unknown }).answer) === 1;
  }
}

const sessionClient = (connection: MysqlConnection): SessionClient => ({
  query: (sql) =>
    new Promise((resolve, reject) => {
      connection.query(sql, (error, rows) => (error ? reject(error) : resolve(rows as readonly object[])));
    }),
  end: async () => connection.destroy(),
  ref: () => connection.stream?.ref?.(),
  unref: () => connection.stream?.unref?.(),
});
