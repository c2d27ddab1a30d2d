import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { ByReferenceError } from './errors.ts';
import { contextOf, isOf } from './orm.ts';

/** The EntityManager of each ORM for one call: the given one, else that of the transaction or request around the call. */
export class EntityManagers {
  readonly #given: readonly EntityManager[];
  readonly #byOrm = new Map<MikroORM, EntityManager>();

  /** Throws E_INVALID_OPTION for an EntityManager of another ORM, and for two of the same. */
  constructor(orms: readonly MikroORM[], given: EntityManager | readonly EntityManager[] = []) {
    this.#given = [given].flat();
    for (const [index, em] of this.#given.entries()) {
      const orm = orms.find((candidate) => isOf(em, candidate));
      if (orm === undefined || this.#given.findIndex((other) => isOf(other, orm)) !== index) {
        throw ByReferenceError.invalidOption(
          'option em',
          "an EntityManager of each of the serializer's own ORMs",
          given,
        );
      }
    }
  }

  /** Only an ORM that is asked for needs one. */
  of(orm: MikroORM): EntityManager {
    let em = this.#byOrm.get(orm);
    if (em === undefined) {
      em = contextOf(this.#given.find((given) => isOf(given, orm)) ?? orm.em);
      this.#byOrm.set(orm, em);
    }
    return em;
  }
}
