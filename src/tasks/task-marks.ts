import { ByReferenceError } from '../errors.ts';

/** What `@Task` says of a method. */
export interface TaskMark {
  readonly name: string;
  /** Checked where it is written. */
  readonly options: object;
}

/** By the names of methods. */
export type TaskMarks = ReadonlyMap<PropertyKey, TaskMark>;

/** On a prototype, by method: it holds whatever other decorators put in the place of the method. */
const MARKS = Symbol.for('mikro-orm-byref.tasks');
/** On the method itself, where a TC39 decorator sees nothing else. */
const MARK = Symbol.for('mikro-orm-byref.task');

export function markPrototype(prototype: object, name: PropertyKey, mark: TaskMark): void {
  const marks = marksOn(prototype);
  refuseSecond(marks.get(name), mark);
  Object.defineProperty(prototype, MARKS, { value: new Map([...marks, [name, mark]]), configurable: true });
}

export function markMethod(method: object, mark: TaskMark): void {
  refuseSecond(markOn(method), mark);
  Object.defineProperty(method, MARK, { value: mark });
}

/**
 * The methods of a class that are tasks, by its prototype, inherited ones too: a subclass that overrides one without a
 * mark of its own is that task, in its own way.
 */
export function marksOf(prototype: object | null | undefined): TaskMarks {
  const found = new Map<PropertyKey, TaskMark>();
  for (let at = prototype; at; at = Object.getPrototypeOf(at) as object | null) {
    for (const [name, mark] of [...marksOn(at), ...marksOnMethods(at)]) if (!found.has(name)) found.set(name, mark);
  }
  return found;
}

const marksOn = (prototype: object): TaskMarks =>
  (Object.getOwnPropertyDescriptor(prototype, MARKS)?.value ?? new Map()) as TaskMarks;

const markOn = (method: object): TaskMark | undefined => (method as { readonly [MARK]?: TaskMark })[MARK];

function* marksOnMethods(prototype: object): Generator<readonly [PropertyKey, TaskMark]> {
  for (const name of Reflect.ownKeys(prototype)) {
    const { value } = Object.getOwnPropertyDescriptor(prototype, name)! as { readonly value?: unknown };
    const mark = typeof value === 'function' ? markOn(value) : undefined;
    if (mark !== undefined) yield [name, mark];
  }
}

function refuseSecond(first: TaskMark | undefined, second: TaskMark): void {
  if (first === undefined) return;
  throw ByReferenceError.invalidOption('@Task on a method', `no other beside "${first.name}"`, second.name);
}
