import { settled } from './waiting.ts';

/** A connection that is one session of a database. */
export interface SessionClient {
  query(sql: string): Promise<readonly object[]>;
  end(): Promise<unknown>;
  /** Has the connection keep the process alive. */
  ref(): void;
  /** Lets the process end although the connection is open. */
  unref(): void;
}

/**
 * One session of a database, which holds locks that end with it. Statements go one at a time; while there are users it is
 * asked at times whether it lives, and one that does not answer is dropped.
 */
export abstract class DatabaseSession {
  readonly #client: SessionClient;
  readonly #heartbeatMs: number;
  readonly #lost = new AbortController();
  #last: Promise<unknown> = Promise.resolve();
  #ended: Promise<void> = Promise.resolve();
  #users = 0;
  #heartbeat: NodeJS.Timeout | undefined;

  protected constructor(client: SessionClient, heartbeatMs: number) {
    this.#client = client;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Whether an error is the server's own word, which it has the session for. */
  protected abstract isAnswer(error: unknown): boolean;

  /** Aborted when the session is gone, and with it every lock it held. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** While it has users the process stays alive for it, and it is asked at times whether it lives. */
  enter(): void {
    if (this.#users++ > 0) return;
    this.#client.ref();
    this.#heartbeat = setInterval(() => void this.query('select 1').catch(this.#onHeartbeat), this.#heartbeatMs);
  }

  leave(): void {
    if (--this.#users > 0) return;
    this.#client.unref();
    clearInterval(this.#heartbeat);
  }

  /** Ends the session; what it held is lost. */
  drop(cause: unknown): void {
    if (this.lost.aborted) return;
    clearInterval(this.#heartbeat);
    this.#lost.abort(cause);
    // A connection that does not answer can't be asked to end: it is cut.
    this.#ended = this.#client.end().then(
      () => undefined,
      () => undefined,
    );
  }

  /** Drops the session and waits for its connection to end. */
  async close(cause: unknown): Promise<void> {
    this.drop(cause);
    await settled(this.#ended, this.#heartbeatMs);
  }

  protected readonly fail = (error: unknown): void => this.drop(error);

  protected query(sql: string): Promise<readonly object[]> {
    const result = this.#last.then(async () => {
      this.lost.throwIfAborted();
      const answered = this.watch();
      try {
        return await this.#client.query(sql);
      } catch (error) {
        // The session's end, told as the answer to what was asked last.
        if (this.isEnd(error)) this.drop(error);
        throw error;
      } finally {
        answered();
      }
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Whether an error tells that the session has ended. */
  protected abstract isEnd(error: unknown): boolean;

  /**
   * Drops the session unless the returned function is called in time. The second half begins when the first is noticed
   * to be over: after work that kept the thread busy there is time to read an answer that has come meanwhile.
   */
  protected watch(): () => void {
    const drop = (): void => this.drop(new Error(`The database has not answered within ${this.#heartbeatMs} ms.`));
    const halfMs = this.#heartbeatMs / 2;
    let timer = setTimeout(() => (timer = setTimeout(drop, halfMs)), halfMs);
    return () => clearTimeout(timer);
  }

  /** A server that refuses has answered. */
  readonly #onHeartbeat = (error: unknown): void => {
    if (!this.isAnswer(error)) this.drop(error);
  };
}
