import type { MikroORM } from '@mikro-orm/core';
import type { FactoryProvider, OnApplicationShutdown, Provider } from '@nestjs/common';
import { EntityCache } from '../cache/entity-cache.ts';
import { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { Locks } from '../locks/locks.ts';
import { Outbox } from '../outbox/outbox.ts';
import { Tasks } from '../tasks/tasks.ts';
import { type ByReferenceModuleOptions, type Foundation, FOUNDATIONS, OPTIONS } from './options.ts';

/** What can be injected where an option says what it stands on. */
interface Service<Name extends Foundation> {
  readonly provide: { readonly name: string; readonly prototype: object };
  make(
    serializer: EntitySerializer,
    on: Made<ByReferenceModuleOptions[Name]>,
    options: ByReferenceModuleOptions,
  ): object;
}

/** What an option is, or what the function in its place gives. */
type Made<Option> = NonNullable<Exclude<Option, (...args: never) => unknown>>;

const SERVICES: { readonly [Name in Foundation]: Service<Name> } = {
  engine: { provide: Tasks, make: (serializer, engine, { tasks }) => new Tasks(serializer, engine, tasks) },
  locks: { provide: Locks, make: (serializer, provider) => new Locks(serializer, provider) },
  cache: {
    provide: EntityCache,
    make: (serializer, bentocache, { cacheOptions }) => new EntityCache(serializer, bentocache, cacheOptions),
  },
  outbox: { provide: Outbox, make: (serializer, options) => new Outbox(serializer, options) },
};

/** Those of some options; without its option, one that says so as soon as it is used. */
export function servicesOf(names: readonly Foundation[]): FactoryProvider[] {
  return names.map((name) => {
    const { provide, make } = SERVICES[name] as Service<Foundation>;
    return {
      provide: provide as never,
      // An engine may be made with the outbox.
      inject: [EntitySerializer, OPTIONS, ...(name === 'engine' ? [{ token: Outbox, optional: true }] : [])],
      async useFactory(serializer: EntitySerializer, options: ByReferenceModuleOptions, outbox?: Outbox) {
        const given = options[name];
        return given === undefined
          ? refusing(name, provide)
          : make(serializer, (await made(name, given, serializer.orm, options.outbox && outbox)) as never, options);
      },
    };
  });
}

async function made(name: Foundation, given: unknown, orm: MikroORM, outbox: Outbox | undefined): Promise<object> {
  const make = given as (orm: MikroORM, outbox: Outbox | undefined) => unknown;
  const value: unknown = typeof given === 'function' ? await make(orm, outbox) : given;
  const { what, isOne } = FOUNDATIONS[name];
  if (isOne(value)) return value as object;
  throw ByReferenceError.invalidOption(`option ${name}`, `a function that gives ${what}`, value);
}

/** Methods stay functions, as Nest and its modules look at those of all providers. */
function refusing(name: Foundation, { name: service, prototype }: Service<Foundation>['provide']): object {
  const refuse = (): never => {
    const option = `option ${name} of ByReferenceModule`;
    throw ByReferenceError.invalidOption(option, `${FOUNDATIONS[name].what}, as ${service} is used`, undefined);
  };
  const { constructor: _, ...members } = Object.getOwnPropertyDescriptors(prototype) as PropertyDescriptorMap;
  const refused = Object.entries(members).map(([member, { value }]) => [
    member,
    typeof value === 'function' ? { value: refuse } : { get: refuse },
  ]);
  return Object.create(prototype, Object.fromEntries(refused) as PropertyDescriptorMap) as object;
}

/** Closes the locks when requests have been answered and jobs have ended. */
export class LocksHost implements OnApplicationShutdown {
  readonly #locks: Locks;
  readonly #options: ByReferenceModuleOptions;

  constructor(locks: Locks, options: ByReferenceModuleOptions) {
    this.#locks = locks;
    this.#options = options;
  }

  /** Nest has closed its servers. */
  async onApplicationShutdown(): Promise<void> {
    if (this.#options.locks !== undefined) await this.#locks.close();
  }
}

export const LOCKS_HOST: Provider = {
  provide: LocksHost,
  inject: [Locks, OPTIONS],
  useFactory: (locks: Locks, options: ByReferenceModuleOptions) => new LocksHost(locks, options),
};
