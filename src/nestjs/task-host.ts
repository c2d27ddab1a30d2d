import type { OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown } from '@nestjs/common';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { Tasks } from '../tasks/tasks.ts';
import { type ByReferenceModuleOptions, isEngine } from './options.ts';

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

/** Works the tasks for as long as the application runs. */
export class TaskHost implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #tasks: Tasks;
  readonly #options: ByReferenceModuleOptions;

  constructor(tasks: Tasks, options: ByReferenceModuleOptions) {
    this.#tasks = tasks;
    this.#options = options;
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
