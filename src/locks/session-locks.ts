import { ByReferenceError } from '../errors.ts';
import { once } from '../once.ts';
import { KeyedQueue } from './keyed-queue.ts';
import type { HeldLock, LockProvider } from './lock-provider.ts';
import { about, pause } from './waiting.ts';

/** A lock that a session holds. */
export interface Granted {
  readonly token?: bigint;
}

/** A session of a database, whose locks last until they are released or it ends; `Name` is what it calls a key. */
export interface LockSession<Name> {
  /** Aborted when the session is gone, and with it every lock it held. */
  readonly lost: AbortSignal;
  enter(): void;
  leave(): void;
  /** Tries until it has the lock, or until `signal` is aborted. */
  lock(name: Name, signal: AbortSignal, pollMs: number): Promise<Granted | undefined>;
  /** Never rejects: if the lock can't be released, the session is dropped. */
  unlock(name: Name): Promise<void>;
  close(cause: unknown): Promise<void>;
}

/** What locks of sessions are made of. */
export interface SessionLocksParts<Name> {
  nameOf(key: string): Name;
  open(): Promise<LockSession<Name>>;
  readonly pollMs: number;
}

/** Sessions that a call asks which does not wait, or no longer: those before were gone. */
const TRIES = 3;

/** Locks kept by a database for one session per provider, which is opened when it is needed and made again when it is lost. */
export class SessionLocks<Name> implements LockProvider {
  readonly #parts: SessionLocksParts<Name>;
  readonly #queue = new KeyedQueue();
  readonly #session = once(() => this.#open());
  #isClosed = false;

  constructor(parts: SessionLocksParts<Name>) {
    this.#parts = parts;
  }

  /** The session would let a second call of this process in: the queue keeps it out. */
  acquire(key: string, { signal }: { readonly signal: AbortSignal }): Promise<HeldLock | undefined> {
    const name = this.#parts.nameOf(key);
    return this.#queue.take(key, signal, (leave) => this.#lock(name, signal, leave));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session.forget()?.catch(() => undefined);
    await session?.close(new Error('The provider of the locks was closed.'));
  }

  async #lock(name: Name, signal: AbortSignal, leave: () => void): Promise<HeldLock | undefined> {
    const { pollMs } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      const session = await this.#connected();
      session.enter();
      let held: HeldLock | undefined;
      try {
        const granted = await session.lock(name, signal, pollMs);
        // Not one that was lost again before the work could begin.
        if (granted !== undefined && !session.lost.aborted) {
          held = heldIn(session, name, granted, leave);
          return held;
        }
        if (!session.lost.aborted) return undefined;
      } catch (error) {
        // The session is gone, and all it may have got with it: it is safe to ask on another one.
        if (!session.lost.aborted || (signal.aborted && attempt >= TRIES)) throw error;
      } finally {
        if (held === undefined) session.leave();
      }
      if (attempt > 1) await pause(about(pollMs), [signal]);
    }
  }

  async #connected(): Promise<LockSession<Name>> {
    if (this.#isClosed) {
      throw ByReferenceError.unsupported('Taking a lock after close()', 'close the locks when the application ends');
    }
    return this.#session();
  }

  async #open(): Promise<LockSession<Name>> {
    const session = await this.#parts.open();
    session.lost.throwIfAborted();
    session.lost.addEventListener('abort', () => this.#session.forget(), { once: true });
    return session;
  }
}

function heldIn<Name>(session: LockSession<Name>, name: Name, { token }: Granted, leave: () => void): HeldLock {
  return {
    token,
    signal: session.lost,
    async release() {
      if (!session.lost.aborted) await session.unlock(name);
      session.leave();
      leave();
    },
  };
}
