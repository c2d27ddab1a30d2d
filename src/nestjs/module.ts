import { MikroORM } from '@mikro-orm/core';
import { getMikroORMToken } from '@mikro-orm/nestjs';
import { type DynamicModule, type FactoryProvider, Module, type Provider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { EntitySerializer } from '../entity-serializer.ts';
import { Outbox } from '../outbox/outbox.ts';
import { Tasks } from '../tasks/tasks.ts';
import { CommittedEvents } from './committed-events.ts';
import { ByReferenceHealth } from './health.ts';
import { bullMqModule } from './load-bullmq.ts';
import {
  type ByReferenceAsyncOptions,
  type ByReferenceModuleOptions,
  type ByReferenceOptionsFactory,
  type ByReferenceRootOptions,
  checkAsyncOptions,
  checkModuleOptions,
  checkRootOptions,
  type ContextOption,
  type Foundation,
  FOUNDATIONS,
  OPTIONS,
} from './options.ts';
import { OUTBOX_HOST } from './outbox-host.ts';
import { LOCKS_HOST, servicesOf } from './services.ts';
import { TaskHost } from './task-host.ts';

/**
 * Entities travel by reference through the queues of an application: import it once, anywhere, beside MikroOrmModule.
 *
 * `EntitySerializer` and, with an engine, `Tasks` can be injected everywhere. With `@nestjs/bullmq`, a `@Processor`
 * gets the current rows, in an EntityManager and request context of its own; queues of `@InjectQueue()` and flow
 * producers of `@InjectFlowProducer()` write tokens, from the first `onModuleInit` on. The module leaves responses as
 * they are; it is a class marked without `toJSON: false` that answers with its token.
 */
export class ByReferenceModule {
  /**
   * With options that are known now: `ByReferenceModule.forRoot({ work: true, engine })`.
   * @throws E_INVALID_OPTION.
   */
  static forRoot(options: ByReferenceRootOptions = {}): DynamicModule {
    checkRootOptions(options);
    const names = ALL.filter((name) => options[name] !== undefined);
    return moduleOf([{ provide: OPTIONS, useValue: options }], options.contextName, names);
  }

  /**
   * With options from other providers. Whether there is an engine is known too late for Nest to refuse `Tasks`: without
   * one it can be injected, and throws E_INVALID_OPTION when it is used. So it is with `Locks`, `EntityCache` and `Outbox`.
   * @throws E_INVALID_OPTION.
   */
  static forRootAsync({ imports = [], ...options }: ByReferenceAsyncOptions): DynamicModule {
    checkAsyncOptions(options);
    const { contextName, useClass } = options;
    const { inject = [], useFactory } = factoryOf(options);
    const provider: FactoryProvider<ByReferenceModuleOptions> = {
      provide: OPTIONS,
      inject,
      async useFactory(...dependencies: unknown[]) {
        const given = await useFactory(...dependencies);
        checkModuleOptions(given);
        return given;
      },
    };
    return moduleOf([provider, ...(useClass === undefined ? [] : [useClass])], contextName, ALL, imports);
  }
}

Module({})(ByReferenceModule);

/** What makes the options: a function, or a provider with a method of that name. */
function factoryOf({ inject, useFactory, useClass, useExisting }: ByReferenceAsyncOptions): {
  readonly inject?: FactoryProvider['inject'];
  readonly useFactory: NonNullable<ByReferenceAsyncOptions['useFactory']>;
} {
  if (useFactory !== undefined) return { ...(inject && { inject }), useFactory };
  return {
    inject: [(useClass ?? useExisting)!],
    useFactory: (factory: ByReferenceOptionsFactory) => factory.createByReferenceOptions(),
  };
}

/**
 * What begins and ends with the application has a module of its own, which is not global: those end after all others,
 * in the order of imports, and MikroORM's is one, which takes the connections away.
 */
class ByReferenceHosts {}

Module({})(ByReferenceHosts);

const ALL = Object.keys(FOUNDATIONS) as Foundation[];

const HOSTS: Partial<Record<Foundation, Provider>> = {
  engine: {
    provide: TaskHost,
    inject: [Tasks, OPTIONS, ModulesContainer],
    useFactory: (tasks: Tasks, options: ByReferenceModuleOptions, modules: ModulesContainer) =>
      new TaskHost(tasks, options, modules),
  },
  locks: LOCKS_HOST,
  outbox: OUTBOX_HOST,
};

const HEALTH: Provider = {
  provide: ByReferenceHealth,
  inject: [EntitySerializer, OPTIONS, { token: Tasks, optional: true }],
  useFactory: (serializer: EntitySerializer, { engine }: ByReferenceModuleOptions, tasks?: Tasks) =>
    new ByReferenceHealth(serializer, engine === undefined ? undefined : tasks),
};

const ormToken = (contextName: string | undefined) =>
  contextName === undefined ? MikroORM : getMikroORMToken(contextName);

const EVENTS: Provider = {
  provide: CommittedEvents,
  inject: [EntitySerializer, OPTIONS, { token: Outbox, optional: true }],
  useFactory: (serializer: EntitySerializer, { outbox: given }: ByReferenceModuleOptions, outbox?: Outbox) =>
    new CommittedEvents(serializer, given && outbox),
};

function moduleOf(
  options: readonly Provider[],
  contextName: ContextOption['contextName'],
  names: readonly Foundation[],
  imports: DynamicModule['imports'] = [],
): DynamicModule {
  const serializer: Provider = {
    provide: EntitySerializer,
    inject: [OPTIONS, ...[contextName].flat().map(ormToken)],
    useFactory: (given: ByReferenceModuleOptions, ...orms: MikroORM[]) => new EntitySerializer(orms, given.serializer),
  };
  const services = servicesOf(names);
  const hosts = { module: ByReferenceHosts, providers: names.flatMap((name) => HOSTS[name] ?? []) };
  return {
    module: ByReferenceModule,
    global: true,
    imports: [...imports, bullMqModule(), hosts],
    providers: [...options, serializer, HEALTH, EVENTS, ...services],
    exports: [OPTIONS, EntitySerializer, ByReferenceHealth, CommittedEvents, ...services.map(({ provide }) => provide)],
  };
}
