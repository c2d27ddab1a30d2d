import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { ambientContext } from '../orm/context.ts';

interface Caller {
  readonly run: ReturnType<typeof AsyncLocalStorage.snapshot>;
  /** The calls of its EntityManager that wait for replies. */
  readonly waiting: Set<Caller>;
}

/**
 * In whose context a reply is read: in that of the call which it answers. The connection brings it in the context of
 * whoever has opened that, another request's. A call that is never answered holds on to nothing: it is known for as long
 * as its EntityManager is.
 */
export class Callers {
  readonly #orms: readonly MikroORM[];
  readonly #callers = new Map<string, WeakRef<Caller>>();
  readonly #waiting = new WeakMap<EntityManager, Set<Caller>>();
  readonly #collected = new FinalizationRegistry<string>((id) => this.#callers.delete(id));
  /** In no request's, which has no EntityManager to read with. */
  readonly #nobody = AsyncLocalStorage.snapshot();

  constructor(orms: readonly MikroORM[]) {
    this.#orms = orms;
  }

  /** A message goes out that is to be answered. */
  call(id: string): void {
    const em = this.#orms.map((orm) => ambientContext(orm.em)).find((own) => own !== undefined);
    if (em === undefined) return;
    const waiting = this.#waiting.get(em) ?? new Set();
    const caller = { run: AsyncLocalStorage.snapshot(), waiting };
    this.#waiting.set(em, waiting.add(caller));
    this.#callers.set(id, new WeakRef(caller));
    this.#collected.register(caller, id, caller);
  }

  /** Runs `read` in the context of the call. */
  reply<Result>(id: string, read: () => Result): Result {
    return (this.#callers.get(id)?.deref()?.run ?? this.#nobody)(read);
  }

  /** The last reply has come. */
  end(id: string): void {
    const caller = this.#callers.get(id)?.deref();
    this.#callers.delete(id);
    if (caller === undefined) return;
    caller.waiting.delete(caller);
    this.#collected.unregister(caller);
  }
}
