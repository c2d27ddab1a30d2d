/** What reflect-metadata adds to Reflect, where it is loaded. */
interface ReflectMetadata {
  getOwnMetadataKeys?(target: object): unknown[];
  getOwnMetadata(key: unknown, target: object): unknown;
  defineMetadata(key: unknown, value: unknown, target: object): void;
}

/** A method in the place of another: what decorators below have said of that one, as Nest's do, holds for this one too. */
export function inPlaceOf<Method extends object>(original: object, method: Method): Method {
  const metadata = Reflect as unknown as ReflectMetadata;
  for (const key of metadata.getOwnMetadataKeys?.(original) ?? []) {
    metadata.defineMetadata(key, metadata.getOwnMetadata(key, original), method);
  }
  return method;
}
