import type {
  BeforeApplicationShutdown,
  OnApplicationBootstrap,
  OnApplicationShutdown,
  OnModuleInit,
} from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { Tasks } from '../tasks/tasks.ts';
import { type ByReferenceModuleOptions, isEngine } from './options.ts';
import { registerProviders } from './task-methods.ts';

/** The application's Tasks; without an engine, one that says so as soon as it is used. */
export async function makeTasks(serializer: EntitySerializer, options: ByReferenceModuleOptions): Promise<Tasks> {
  const { engine: given, tasks } = options;
  if (given === undefined) return withoutEngine();
  const engine = typeof given === 'function' ? await given(serializer.orm) : given;
  if (!isEngine(engine))
    throw ByReferenceError.invalidOption('option engine', 'a function that gives an Engine', engine);
  return new Tasks(serializer, engine, tasks);
}

function withoutEngine(): Tasks {
  const refuse = (): never => {
    throw ByReferenceError.invalidOption(
      'option engine of ByReferenceModule',
      'an Engine, as Tasks is used',
      undefined,
    );
  };
  const methods = Object.getOwnPropertyNames(Tasks.prototype).filter((name) => name !== 'constructor');
  return Object.create(Tasks.prototype, Object.fromEntries(methods.map((name) => [name, { value: refuse }]))) as Tasks;
}

/** Has providers run their tasks, and works them for as long as the application runs. */
export class TaskHost
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  readonly #tasks: Tasks;
  readonly #options: ByReferenceModuleOptions;
  readonly #modules: ModulesContainer;

  constructor(tasks: Tasks, options: ByReferenceModuleOptions, modules: ModulesContainer) {
    this.#tasks = tasks;
    this.#options = options;
    this.#modules = modules;
  }

  onModuleInit(): void {
    if (this.#options.engine !== undefined) registerProviders(this.#tasks, this.#modules);
  }

  async onApplicationBootstrap(): Promise<void> {
    if (this.#options.work === true) await this.#tasks.work();
  }

  /** Jobs under way need the ORM, which closes with the application. */
  async beforeApplicationShutdown(): Promise<void> {
    if (this.#options.engine !== undefined) await this.#tasks.stopWorkers();
  }

  /** Requests were answered up to here: they may have opened a queue again, and what they flushed has made jobs. */
  async onApplicationShutdown(): Promise<void> {
    if (this.#options.engine !== undefined) await this.#tasks.stop();
  }
}
