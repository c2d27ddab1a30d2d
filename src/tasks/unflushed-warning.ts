import type { EntityManager } from '@mikro-orm/core';
import { unflushedIn } from '../orm/unflushed.ts';

/** Tells, once a task, of a handler that has ended with changes that nobody will write. */
export class UnflushedWarning {
  readonly #told = new Set<string>();

  look(task: string, em: EntityManager): void {
    if (this.#told.has(task)) return;
    const left = unflushedIn(em);
    if (left.length === 0) return;
    this.#told.add(task);
    const names = [...new Set(left)].slice(0, 5).join(', ');
    process.emitWarning(
      `A handler of the task "${task}" has ended with changes that are not flushed (${names}), and they are lost; have it await em.flush().`,
      { type: 'ByReferenceWarning', code: 'BYREF_UNFLUSHED_CHANGES' },
    );
  }
}
