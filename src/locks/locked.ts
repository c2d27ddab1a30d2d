import { aFunction, type Check, check } from '../check.ts';
import { declaringClass, given, inPlaceOf } from '../decorated-method.ts';
import { ByReferenceError } from '../errors.ts';
import type { LockOptions, Locks } from './locks.ts';
import { waitMs } from './waiting.ts';

/** What `@Locked` goes by: `@Locked({ key: (user: User) => user, waitMs: 5_000 })`. */
export interface LockedOptions<This extends object = never, Args extends unknown[] = never> {
  /**
   * What the lock is about: `(user) => user`, or a function with `this`. Bundlers that minify class names need it.
   * @defaultValue the name of the class that declares the method, the method's name, and its arguments
   */
  readonly key?: (this: This, ...args: Args) => unknown;
  /**
   * Where the `Locks` are: `(self: Reports) => self.app.locks`.
   * @defaultValue `this.locks`
   */
  readonly locks?: (self: This) => Locks;
  /**
   * How long a call waits, in milliseconds; 0 tries once.
   * @defaultValue 60,000
   */
  readonly waitMs?: LockOptions['waitMs'];
}

type AsyncMethod = (this: never, ...args: never) => Promise<unknown>;

/** What a method must be where the key is computed from arguments: one that takes them. */
type Taking<KeyArgs extends unknown[], M extends AsyncMethod> =
  Parameters<M> extends [...KeyArgs, ...unknown[]] ? unknown : never;

/** For methods that return a promise; it leaves their types as they are. */
export interface LockedDecorator<Self extends object, KeyArgs extends unknown[]> {
  /** As a TC39 decorator. */
  <This extends Self, M extends AsyncMethod>(
    method: M,
    context: ClassMethodDecoratorContext<This> & Taking<KeyArgs, M>,
  ): M;
  /** As a legacy decorator. */
  <M extends AsyncMethod>(
    target: NoInfer<Self>,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<M> & Taking<KeyArgs, M>,
  ): void;
}

type Method = (this: object, ...args: unknown[]) => unknown;

const LOCKED_CHECKS: Record<keyof LockedOptions, Check> = { key: aFunction, locks: aFunction, waitMs };

const checkLockedOptions = (options: LockedOptions): void => check(options, LOCKED_CHECKS, '@Locked option ');

/**
 * Runs a method one at a time per key, across processes: as a decorator, legacy or TC39, through the `Locks` of its
 * instance. A call that its own work makes with the same key runs through; a subclass that inherits the method shares
 * its locks. Inside, `locks.signal` tells when the lock is lost, and `locks.token` is its fencing token.
 *
 * Calls reject as `Locks.run` does, and with E_INVALID_OPTION where there are no `Locks`.
 * @throws E_INVALID_OPTION.
 */
export function Locked<This extends object = object, Args extends unknown[] = []>(
  options: LockedOptions<This, Args> = {},
): LockedDecorator<This, Args> {
  checkLockedOptions(options as LockedOptions);
  const decorate = (
    target: unknown,
    at: DecoratorContext | string | symbol,
    descriptor?: PropertyDescriptor,
  ): unknown => {
    if (typeof at !== 'object') {
      descriptor!.value = locked(descriptor!.value as Method, at, options as LockedOptions);
      return undefined;
    }
    if (at.kind === 'method' && at.private && options.key === undefined) {
      throw ByReferenceError.invalidOption(
        `@Locked on ${String(at.name)}, a private method`,
        'the option key',
        undefined,
      );
    }
    return locked(target as Method, at.name!, options as LockedOptions);
  };
  return decorate as LockedDecorator<This, Args>;
}

function locked(method: Method, name: string | symbol, options: LockedOptions): Method {
  return inPlaceOf(method, replacement);

  async function replacement(this: object, ...args: unknown[]): Promise<unknown> {
    const locks =
      options.locks === undefined ? (this as { locks?: unknown } | undefined)?.locks : options.locks(this as never);
    if (!isLocks(locks)) {
      const where = `locks of @Locked on ${String(name)}`;
      throw ByReferenceError.invalidOption(
        where,
        'a Locks in this.locks, or from the option locks: (self) => …',
        locks,
      );
    }
    const key =
      options.key === undefined
        ? [declaringClass(this, name, replacement), String(name), ...given(args)]
        : options.key.apply(this as never, args as never);
    return locks.run(
      key,
      () => method.apply(this, args),
      options.waitMs === undefined ? {} : { waitMs: options.waitMs },
    );
  }
}

/** Not by instanceof: the application may have two copies of this package. */
const isLocks = (value: unknown): value is Locks => typeof (value as Locks | null | undefined)?.run === 'function';
