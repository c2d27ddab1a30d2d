import {
  BullModule,
  BullRegistrar,
  getFlowProducerToken,
  getQueueToken,
  QueueEventsHost,
  WorkerHost,
} from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { LazyModuleLoader, ModulesContainer } from '@nestjs/core';
import type { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { accompany, isByReference } from '../bullmq/host.ts';
import { makeFlowProducerByReference, makeQueueByReference, makeWorkerByReference } from '../bullmq/in-place.ts';
import { JobCodec } from '../bullmq/job-codec.ts';
import type { Writing } from '../bullmq/options.ts';
import { QueueEventReading } from '../bullmq/queue-event.ts';
import { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { goFirst, workerClass } from './nest.ts';
import { type ByReferenceModuleOptions, OPTIONS } from './options.ts';
import { providersOf } from './providers.ts';

class BullMqByReference {}

Module({})(BullMqByReference);

export function bullMqModule(): DynamicModule {
  const host = {
    provide: BullMqHost,
    // The registrar is there once a queue is registered. Asking for it puts this before it registers the workers.
    inject: [EntitySerializer, OPTIONS, ModulesContainer, LazyModuleLoader, { token: BullRegistrar, optional: true }],
    useFactory: (
      serializer: EntitySerializer,
      options: ByReferenceModuleOptions,
      modules: ModulesContainer,
      loader: LazyModuleLoader,
      registrar: BullRegistrar | undefined,
    ) => {
      const host = new BullMqHost(new JobCodec(serializer, options.jobs ?? {}), modules, registrar);
      host.watchLoader(loader);
      return host;
    },
  };
  return { module: BullMqByReference, global: true, providers: [host] };
}

/** Makes the queues, flow producers and workers of one application by reference. */
class BullMqHost implements OnModuleInit, BeforeApplicationShutdown {
  /** A connection to BullMQ's PostgreSQL backend is not ours to join transactions with: jobs follow after the commit. */
  readonly #writing: Writing;
  readonly #modules: ModulesContainer;
  readonly #registrar: BullRegistrar | undefined;
  readonly #workers = new Set<Worker>();

  constructor(codec: JobCodec, modules: ModulesContainer, registrar: BullRegistrar | undefined) {
    this.#writing = { codec };
    this.#modules = modules;
    this.#registrar = registrar;
    if (registrar !== undefined) this.#watch(registrar);
    goFirst(modules, BullMqByReference);
  }

  /** All instances are there, and nobody else's hook has run. */
  onModuleInit(): void {
    for (const { name, instance, isPerRequest } of providersOf(this.#modules)) {
      if (isPerRequest && (name.startsWith(QUEUE) || name.startsWith(FLOW_PRODUCER))) {
        throw ByReferenceError.unsupported(
          `${name}, which is made per request,`,
          'it would store entities by value; give its factory no request-scoped providers',
        );
      } else if (name.startsWith(QUEUE) && isQueue(instance)) {
        refuseProcessors(instance);
        makeQueueByReference(instance, this.#writing);
      } else if (name.startsWith(FLOW_PRODUCER) && isFlowProducer(instance)) {
        makeFlowProducerByReference(instance, this.#writing);
      } else if (name === BullRegistrar.name && this.#registrar === undefined) {
        throw ByReferenceError.unsupported(
          'A second copy of @nestjs/bullmq',
          'its processors would be handed tokens; see npm ls @nestjs/bullmq',
        );
      }
    }
  }

  /** Modules that are loaded later are told of by nothing else. */
  watchLoader(loader: LazyModuleLoader): void {
    const load = loader.load.bind(loader);
    loader.load = async (...args) => {
      const loaded = await load(...args);
      this.onModuleInit();
      return loaded;
    };
  }

  /** Jobs under way need the ORM and the queues, which close with the application. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close()));
  }

  /**
   * The class of workers is one for the process, so it is ours only while this application registers its own; and that
   * class has to know the serializer, as @nestjs/bullmq hands a worker none of our options.
   */
  #watch(registrar: BullRegistrar): void {
    const register = registrar.register.bind(registrar);
    registrar.register = () => {
      const before = workerClass();
      BullModule.workerClass = this.#workerClass(before);
      try {
        register();
      } finally {
        BullModule.workerClass = before;
      }
      this.#checkWorkers();
      this.#accompanyEvents();
    };
  }

  #workerClass(base: typeof Worker): typeof Worker {
    const opened = (worker: Worker, processor: unknown): void => {
      makeWorkerByReference(worker, processor, this.#writing.codec);
      this.#workers.add(worker);
    };
    return class ByReferenceWorker extends base {
      constructor(...args: ConstructorParameters<typeof Worker>) {
        super(...args);
        opened(this, args[1]);
      }
    };
  }

  /** Handlers with `@Revive()` find what reads by it. */
  #accompanyEvents(): void {
    for (const { instance } of providersOf(this.#modules)) {
      const events = instance instanceof QueueEventsHost ? eventsOf(instance) : undefined;
      if (events !== undefined && !isByReference(events)) accompany(events, new QueueEventReading(this.#writing.codec));
    }
  }

  /** A worker that was made another way would hand tokens to its processor. */
  #checkWorkers(): void {
    for (const { name, instance } of providersOf(this.#modules)) {
      const worker = instance instanceof WorkerHost ? workerOf(instance) : undefined;
      if (worker !== undefined && !isByReference(worker)) {
        throw ByReferenceError.unsupported(
          `The worker of ${name}`,
          'this release of @nestjs/bullmq makes it in a new way',
        );
      }
    }
  }
}

/** Undefined for a class without `@Processor()`. */
function workerOf(host: WorkerHost): Worker | undefined {
  return madeOr(() => host.worker);
}

/** Undefined for a class without `@QueueEventsListener()`. */
function eventsOf(host: QueueEventsHost): QueueEvents | undefined {
  return madeOr(() => host.queueEvents);
}

function madeOr<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

const QUEUE = getQueueToken('x').slice(0, -1);

const FLOW_PRODUCER = getFlowProducerToken('x').slice(0, -1);

/** By their looks: BullMQ may be there twice, @nestjs/bull has the same tokens, and a test's double is left. */
const isFlowProducer = (instance: unknown): instance is FlowProducer => {
  const { Job, add, addBulk } = (instance ?? {}) as { Job?: unknown; add?: unknown; addBulk?: unknown };
  return [Job, add, addBulk].every((member) => typeof member === 'function');
};

const isQueue = (instance: unknown): instance is Queue =>
  isFlowProducer(instance) && typeof (instance as unknown as Partial<Queue>).upsertJobScheduler === 'function';

/** Their workers start with the queue, before anything can be done about them, and would be handed tokens. */
function refuseProcessors(queue: Queue): void {
  const { processors = [] } = queue.opts as { processors?: readonly unknown[] };
  const isInProcess = (processor: unknown): boolean =>
    typeof processor === 'function' || typeof (processor as { callback?: unknown } | null)?.callback === 'function';
  if (!processors.some(isInProcess)) return;
  throw ByReferenceError.unsupported(
    `A function among the processors of registerQueue({ name: "${queue.name}" })`,
    'take a class with @Processor()',
  );
}
