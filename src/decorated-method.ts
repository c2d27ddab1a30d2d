/** What reflect-metadata adds to Reflect, where it is loaded. */
interface ReflectMetadata {
  getOwnMetadataKeys?(target: object): unknown[];
  getOwnMetadata(key: unknown, target: object): unknown;
  defineMetadata(key: unknown, value: unknown, target: object): void;
}

/**
 * A method in the place of another: what decorators below have said of that one, by reflect-metadata as Nest's do or
 * under a symbol as `@Task` does, holds for this one too.
 */
export function inPlaceOf<Method extends object>(original: object, method: Method): Method {
  for (const symbol of Object.getOwnPropertySymbols(original)) {
    Object.defineProperty(method, symbol, Object.getOwnPropertyDescriptor(original, symbol)!);
  }
  const metadata = Reflect as unknown as ReflectMetadata;
  for (const key of metadata.getOwnMetadataKeys?.(original) ?? []) {
    metadata.defineMetadata(key, metadata.getOwnMetadata(key, original), method);
  }
  return method;
}

/** The name of a class by an instance of it, or by the class itself where the method is a static one. */
export const classNameOf = (self: object): string => (typeof self === 'function' ? self.name : self.constructor.name);

/**
 * The class that declares the method which runs: subclasses that inherit it share the name. Where another decorator has
 * wrapped the method, the first class that has one of this name: rather one that is too wide than one too narrow.
 */
export function declaringClass(self: object, name: string | symbol, method: object): string {
  let first = self;
  for (let owner: object | null = self; owner !== null; owner = Object.getPrototypeOf(owner) as object | null) {
    const own = Object.getOwnPropertyDescriptor(owner, name);
    if (own === undefined) continue;
    first = owner;
    if (own.value === method) break;
  }
  return classNameOf(first);
}

/** `build(user)` and `build(user, undefined)` are the same call. */
export function given(args: readonly unknown[]): unknown[] {
  const end = args.findLastIndex((arg) => arg !== undefined) + 1;
  return args.slice(0, end);
}
