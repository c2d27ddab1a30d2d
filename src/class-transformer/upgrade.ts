/** A class that data of an earlier release was made by, and how an instance of it becomes a newer one. */
export interface AnyUpgrade {
  /** The class that the data was made by. */
  readonly from: new () => object;
  /** Makes a newer one of an instance. */
  readonly to: (old: never) => unknown;
}

/** From shape to shape, the newest first in the list, as far as there is one from the class that the last returned. */
export async function upgraded(data: object, upgrades: readonly AnyUpgrade[]): Promise<unknown> {
  let value: unknown = data;
  for (const { from, to } of upgrades.toReversed()) {
    const isFrom = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === from.prototype;
    if (isFrom) value = await to(value as never);
  }
  return value;
}
