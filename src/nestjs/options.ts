import type { MikroORM } from '@mikro-orm/core';
import type { FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { BentoCacheLike } from '../cache/bento-like.ts';
import type { EntityCacheOptions } from '../cache/options.ts';
import { aFunction, anObject, type Check, check, isFunction, isName, isObject, oneOf } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import type { LockProvider } from '../locks/lock-provider.ts';
import type { EntitySerializerOptions } from '../options.ts';
import type { OutboxOptions } from '../outbox/options.ts';
import type { Outbox } from '../outbox/outbox.ts';
import { ADAPTER_CHECKS, type AdapterOptions } from '../tasks/adapter-options.ts';
import type { Engine } from '../tasks/engine.ts';
import { checkTasksOptions, type TasksOptions } from '../tasks/tasks.ts';

/** What `forRoot` takes, and what the factory of `forRootAsync` gives. */
export interface ByReferenceModuleOptions {
  /**
   * Options of the application's EntitySerializer.
   * @defaultValue its own
   */
  readonly serializer?: EntitySerializerOptions;
  /**
   * How the queues, flow producers and processors of `@nestjs/bullmq` read and write their jobs.
   * @defaultValue those of `AdapterOptions`
   */
  readonly jobs?: AdapterOptions;
  /**
   * Where `Tasks` puts its jobs. Without one there is no `Tasks`. A function is given the ORM and the `Outbox`, if any.
   * @defaultValue none
   */
  readonly engine?: Engine | ((orm: MikroORM, outbox: Outbox | undefined) => Engine | Promise<Engine>);
  /**
   * Options of `Tasks`.
   * @defaultValue its own
   */
  readonly tasks?: TasksOptions;
  /**
   * Where `Locks` keeps its locks: `postgresLocks` as it is, which takes the ORM. Without it there are no `Locks`.
   * @defaultValue none
   */
  readonly locks?: LockProvider | ((orm: MikroORM) => LockProvider | Promise<LockProvider>);
  /**
   * Where `EntityCache` keeps its values. It is yours to disconnect. Without it there is no `EntityCache`.
   * @defaultValue none
   */
  readonly cache?: BentoCacheLike | ((orm: MikroORM) => BentoCacheLike | Promise<BentoCacheLike>);
  /**
   * Options of `EntityCache`.
   * @defaultValue its own
   */
  readonly cacheOptions?: EntityCacheOptions;
  /**
   * Options of `Outbox`. Without them there is none.
   * @defaultValue none
   */
  readonly outbox?: OutboxOptions | ((orm: MikroORM) => OutboxOptions | Promise<OutboxOptions>);
  /**
   * Whether this process works the tasks that are defined when the application is initialised, and relays its outbox.
   * @defaultValue false
   */
  readonly work?: boolean;
}

/** Which ORM it is about. */
export interface ContextOption {
  /**
   * The `contextName` of the ORM, where `@mikro-orm/nestjs` has several; an array for an EntitySerializer of several,
   * the one that jobs are enqueued in first, and undefined in it for the one without a name.
   * @defaultValue the ORM without a name
   */
  readonly contextName?: string | readonly (string | undefined)[];
}

/** What `ByReferenceModule.forRoot` takes: `{ engine: pgBossEngine(boss), work: true }`. */
export type ByReferenceRootOptions = ByReferenceModuleOptions & ContextOption;

/** A provider that makes the options: what `useClass` and `useExisting` name. */
export interface ByReferenceOptionsFactory {
  /** The options: `createByReferenceOptions() { return { engine: pgBossEngine(this.boss) } }`. */
  createByReferenceOptions(): ByReferenceModuleOptions | Promise<ByReferenceModuleOptions>;
}

/**
 * What `ByReferenceModule.forRootAsync` takes: `{ inject: [ConfigService], useFactory: (config) => ({ … }) }`, or
 * `{ useClass: ByReferenceConfig }`, or `{ useExisting: ByReferenceConfig, imports: [ConfigModule] }`.
 */
export interface ByReferenceAsyncOptions
  extends
    ContextOption,
    Pick<ModuleMetadata, 'imports'>,
    Partial<Pick<FactoryProvider<ByReferenceModuleOptions>, 'inject' | 'useFactory'>> {
  /**
   * The class of a provider that makes the options, and is made for it.
   * @defaultValue none
   */
  readonly useClass?: Type<ByReferenceOptionsFactory>;
  /**
   * The same of a provider that there is, of a global module or one of `imports`.
   * @defaultValue none
   */
  readonly useExisting?: Type<ByReferenceOptionsFactory>;
}

/** The injection token of the options. */
export const OPTIONS = Symbol('mikro-orm-byref.nestjs.options');

const aContext: Check = [
  'a name, or an array of names',
  (value) => [value].flat().every((name) => name === undefined || isName(name)) && [value].flat().length > 0,
];

/** The options that what can be injected stands on. */
export type Foundation = 'engine' | 'locks' | 'cache' | 'outbox';

const has =
  (...methods: string[]) =>
  (value: unknown): boolean =>
    methods.every((method) => typeof (value as Readonly<Record<string, unknown>> | null)?.[method] === 'function');

/** What they have to be. */
export const FOUNDATIONS: Readonly<Record<Foundation, { what: string; isOne: (value: unknown) => boolean }>> = {
  engine: { what: 'an Engine', isOne: has('enqueue') },
  locks: { what: 'a LockProvider', isOne: has('acquire') },
  cache: { what: 'a BentoCache', isOne: has('get', 'set', 'delete') },
  outbox: { what: 'options of an Outbox', isOne: isObject },
};

const aFoundation = (name: Foundation): Check => {
  const { what, isOne } = FOUNDATIONS[name];
  return [`${what} or a function that makes one`, (value) => typeof value === 'function' || isOne(value)];
};

const MODULE_CHECKS: Record<keyof ByReferenceModuleOptions, Check> = {
  serializer: anObject,
  jobs: anObject,
  engine: aFoundation('engine'),
  locks: aFoundation('locks'),
  cache: aFoundation('cache'),
  outbox: aFoundation('outbox'),
  cacheOptions: anObject,
  tasks: anObject,
  work: oneOf(true, false),
};

const ROOT_CHECKS: Record<keyof ByReferenceRootOptions, Check> = { ...MODULE_CHECKS, contextName: aContext };

const aClass: Check = ['a class', isFunction];

const ASYNC_CHECKS: Record<keyof ByReferenceAsyncOptions, Check> = {
  contextName: aContext,
  imports: ['an array of modules', Array.isArray],
  inject: ['an array of tokens', Array.isArray],
  useFactory: aFunction,
  useClass: aClass,
  useExisting: aClass,
};

export function checkRootOptions(options: ByReferenceRootOptions): void {
  check(options, ROOT_CHECKS, 'option ');
  checkMembers(options);
}

export function checkModuleOptions(options: ByReferenceModuleOptions): void {
  check(options, MODULE_CHECKS, 'option ');
  checkMembers(options);
}

export function checkAsyncOptions(options: ByReferenceAsyncOptions): void {
  check(options, ASYNC_CHECKS, 'option ');
  const given = (['useFactory', 'useClass', 'useExisting'] as const).filter((name) => options[name] !== undefined);
  if (given.length === 1) return;
  const expected = 'one of useFactory, useClass and useExisting';
  throw ByReferenceError.invalidOption('options of forRootAsync', expected, given.join(' and ') || undefined);
}

function checkMembers({ jobs = {}, tasks = {}, engine, outbox, work = false }: ByReferenceModuleOptions): void {
  check(jobs, ADAPTER_CHECKS, 'option jobs.');
  checkTasksOptions(tasks);
  if (work && engine === undefined && outbox === undefined)
    throw ByReferenceError.invalidOption('option engine', 'an Engine, for work', engine);
}
