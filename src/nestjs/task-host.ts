import type {
  BeforeApplicationShutdown,
  OnApplicationBootstrap,
  OnApplicationShutdown,
  OnModuleInit,
} from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import type { Tasks } from '../tasks/tasks.ts';
import type { ByReferenceModuleOptions } from './options.ts';
import { registerProviders } from './task-methods.ts';

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
    const { engine, work } = this.#options;
    if (engine !== undefined && work === true) await this.#tasks.work();
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
