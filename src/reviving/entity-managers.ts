import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { isObject } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { contextOr, disablesIdentityMap, isEntityManager, isOf } from '../orm/context.ts';

/** MikroORM finds the EntityManager of a request by the name of its ORM. */
export function checkOrms(orms: readonly MikroORM[]): void {
  const names = orms.map((orm) => isObject(orm) && isEntityManager(orm.em) && orm.em.name);
  if (names.length === 0 || names.includes(false)) {
    const wrong = names.length === 0 ? orms : orms[names.indexOf(false)];
    throw ByReferenceError.invalidOption('orms', 'a MikroORM or an array of them', wrong);
  }
  if (new Set(names).size < names.length) {
    throw ByReferenceError.invalidOption('orms', 'ORMs of different contextName', names.join(', '));
  }
  for (const orm of orms) {
    if (!disablesIdentityMap(orm)) continue;
    const expected = 'false: entities that come back belong to an identity map, which finds their changes';
    throw ByReferenceError.invalidOption('disableIdentityMap in the configuration of the ORM', expected, true);
  }
}

/** The EntityManager of each ORM for one call: the given one, else that of the transaction or request around the call. */
export class EntityManagers {
  readonly #given: readonly EntityManager[];
  readonly #isAlone: boolean;

  /** Throws E_INVALID_OPTION for an EntityManager of another ORM, and for two of the same. */
  constructor(orms: readonly MikroORM[], given: EntityManager | readonly EntityManager[] = []) {
    this.#isAlone = orms.length === 1;
    this.#given = isList(given) ? given : [given];
    for (const em of this.#given) {
      if (!orms.some((orm) => isOf(em, orm))) {
        const own = orms.map((candidate) => JSON.stringify(candidate.em.name)).join(' and ');
        const expected = `an EntityManager of the MikroORM that the serializer was built for, ${own}, not of another one`;
        throw ByReferenceError.invalidOption('option em', expected, em.name);
      }
      if (this.#given.length > 1 && this.#given.filter(({ config }) => config === em.config).length > 1) {
        throw ByReferenceError.invalidOption(
          'option em',
          'at most one EntityManager for each ORM',
          `two of ${em.name}`,
        );
      }
    }
  }

  /** Only an ORM that is asked for needs one. */
  of(orm: MikroORM): EntityManager {
    const given = this.#given.find((em) => isOf(em, orm));
    return contextOr(given ?? orm.em, (cause) => this.#missing(orm, given, cause));
  }

  /** MikroORM has refused its global EntityManager: what the caller can pass instead depends on what was passed. */
  #missing({ em: { name } }: MikroORM, given: EntityManager | undefined, cause: unknown): ByReferenceError {
    const one = 'or have RequestContext.create(orm.em, …) around the call';
    if (given !== undefined) {
      const advice = `pass a fork of it, { em: orm.em.fork() }, ${one}`;
      return ByReferenceError.noEntityManager('but the global one, orm.em', advice, cause);
    }
    if (!this.#isAlone) {
      const advice =
        'pass one for each ORM, { em: [orm.em.fork(), other.em.fork()] }, or have RequestContext.create([orm.em, other.em], …) around the call';
      return ByReferenceError.noEntityManager(`of the ORM "${name}", whose rows are asked for`, advice, cause);
    }
    return ByReferenceError.noEntityManager('to read with', `pass one, { em: orm.em.fork() }, ${one}`, cause);
  }
}

const isList = (given: EntityManager | readonly EntityManager[]): given is readonly EntityManager[] =>
  Array.isArray(given);
