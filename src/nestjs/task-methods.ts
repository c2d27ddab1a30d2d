import { ContextIdFactory, type ModuleRef, type ModulesContainer } from '@nestjs/core';
import { marksOf } from '../tasks/task-marks.ts';
import type { JobContext } from '../tasks/task.ts';
import type { Tasks } from '../tasks/tasks.ts';
import { type ProviderInstance, providersOf } from './providers.ts';

/**
 * Has the providers of an application run the jobs of their methods with `@Task`. One that is made per request, or for
 * each who asks for it, is made for each job, inside its context; the job is its request.
 */
export function registerProviders(tasks: Tasks, modules: ModulesContainer): void {
  const registered = new Set<unknown>();
  for (const { token, instance, metatype, isPerRequest, isTransient, moduleRef } of providersOf(modules)) {
    const isPerJob = isTransient || isPerRequest;
    const prototype = isPerJob
      ? (metatype as { readonly prototype?: object } | null)?.prototype
      : (Object.getPrototypeOf(Object(instance)) as object | null);
    // One instance may be provided under several tokens.
    const known = isPerJob ? metatype : instance;
    if (marksOf(prototype).size === 0 || registered.has(known)) continue;
    registered.add(known);
    tasks.registerClass(prototype!, isPerJob ? (job) => forJob(moduleRef, token, job) : () => instance as object);
  }
}

function forJob(ref: ModuleRef, token: ProviderInstance['token'], job: JobContext): Promise<object> {
  const context = ContextIdFactory.getByRequest(job);
  ref.registerRequestByContextId(job, context);
  return ref.resolve<object>(token, context);
}
