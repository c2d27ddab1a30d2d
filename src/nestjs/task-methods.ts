import { ContextIdFactory, ModuleRef, type ModulesContainer } from '@nestjs/core';
import { marksOf } from '../tasks/task-marks.ts';
import type { JobContext } from '../tasks/task.ts';
import type { Tasks } from '../tasks/tasks.ts';

/**
 * Has the providers of an application run the jobs of their methods with `@Task`. One that is made per request, or for
 * each who asks for it, is made for each job, inside its context; the job is its request.
 */
export function registerProviders(tasks: Tasks, modules: ModulesContainer): void {
  const registered = new Set<unknown>();
  for (const { providers } of modules.values()) {
    for (const [token, wrapper] of providers) {
      const isPerJob = wrapper.isTransient || !wrapper.isDependencyTreeStatic();
      const { instance, metatype } = wrapper as { readonly instance: unknown; readonly metatype: unknown };
      const prototype = isPerJob
        ? (metatype as { readonly prototype?: object } | null)?.prototype
        : (Object.getPrototypeOf(Object(instance)) as object | null);
      // One instance may be provided under several tokens.
      const known = isPerJob ? metatype : instance;
      if (marksOf(prototype).size === 0 || registered.has(known)) continue;
      registered.add(known);
      const ref = providers.get(ModuleRef)!.instance as ModuleRef;
      tasks.registerClass(prototype!, isPerJob ? (job) => forJob(ref, token, job) : () => instance as object);
    }
  }
}

function forJob(ref: ModuleRef, token: Parameters<ModuleRef['resolve']>[0], job: JobContext): Promise<object> {
  const context = ContextIdFactory.getByRequest(job);
  ref.registerRequestByContextId(job, context);
  return ref.resolve<object>(token, context);
}
