import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { isObject } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { contextOf, isEntityManager, isOf } from '../orm/context.ts';

/** MikroORM finds the EntityManager of a request by the name of its ORM. */
export function checkOrms(orms: readonly MikroORM[]): void {
  const names = orms.map((orm) => isObject(orm) && isEntityManager(orm.em) && orm.em.name);
  if (names.length === 0 || names.includes(false)) {
    throw ByReferenceError.invalidOption('orms', 'a MikroORM or an array of them', orms);
  }
  if (new Set(names).size < names.length) {
    throw ByReferenceError.invalidOption('orms', 'ORMs of different contextName', names);
  }
}

/** The EntityManager of each ORM for one call: the given one, else that of the transaction or request around the call. */
export class EntityManagers {
  readonly #given = new Map<MikroORM, EntityManager>();

  /** Throws E_INVALID_OPTION for an EntityManager of another ORM, and for two of the same. */
  constructor(orms: readonly MikroORM[], given: EntityManager | readonly EntityManager[] = []) {
    for (const em of [given].flat()) {
      const orm = orms.find((candidate) => isOf(em, candidate));
      if (orm === undefined || this.#given.has(orm)) {
        const expected =
          "an EntityManager of the serializer's own ORM, or an array with at most one for each of its ORMs";
        throw ByReferenceError.invalidOption('option em', expected, given);
      }
      this.#given.set(orm, em);
    }
  }

  /** Only an ORM that is asked for needs one. */
  of(orm: MikroORM): EntityManager {
    return contextOf(this.#given.get(orm) ?? orm.em);
  }
}
