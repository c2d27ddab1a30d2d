import { ByReferenceError } from '../errors.ts';
import type { DeclaredTask, TaskMethod } from './task.ts';
import { marksOf, type TaskMarks } from './task-marks.ts';

/** A class whose instances have tasks for methods. */
export type TaskClass<Instance extends object = object> = abstract new (...args: never) => Instance;

/** The methods of a class that can be tasks, as a producer has them. Those that `@Task` does not mark are refused. */
export type MethodTasks<Instance extends object> = {
  readonly [Name in keyof Instance as Instance[Name] extends TaskMethod ? Name : never]: Instance[Name] extends (
    ...args: infer Args
  ) => infer Result
    ? DeclaredTask<Args extends [] ? void : Args[0], Awaited<Result>>
    : never;
};

/** Of a class, by its prototype. Throws E_INVALID_OPTION where there are none. */
export function marksOrFail(prototype: object | null | undefined): TaskMarks {
  const marks = marksOf(prototype);
  if (marks.size > 0) return marks;
  throw ByReferenceError.invalidOption('class of tasks', `one with methods that have ${WHERE}`, prototype?.constructor);
}

/**
 * Tasks by method. Any other name is refused by what is done with it, and not when it is looked at: Nest asks what it
 * provides for hooks, and `await` for a `then`.
 */
export function onlyTasks<Instance extends object>(cls: TaskClass<Instance>, tasks: object): MethodTasks<Instance> {
  const refusing = (name: string): object =>
    new Proxy(
      {},
      {
        get() {
          throw ByReferenceError.invalidOption(`task ${cls.name}.${name}`, `a method that has ${WHERE}`, undefined);
        },
      },
    );
  return new Proxy(tasks as MethodTasks<Instance>, {
    get: (own, name) =>
      typeof name === 'string' && !(name in own) ? refusing(name) : (Reflect.get(own, name) as unknown),
  });
}

const WHERE = '@Task(), above TC39 decorators that put another in its place';
