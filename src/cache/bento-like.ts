/** How long an entry is good, null for ever, and how long it is kept, in milliseconds. */
interface Lifetime {
  readonly ttl: number | null;
  readonly grace: number | false;
}

/** What this library uses of a `BentoCache` (1.6), of one of its stores, or of a namespace of one. */
export interface BentoCacheLike {
  /** The value under a key; undefined where there is none. */
  get(options: { key: string } & Lifetime): Promise<unknown>;
  /** Stores a value. */
  set(
    options: {
      key: string;
      value: unknown;
      suppressL2Errors?: boolean;
      skipL2Write?: boolean;
      skipBusNotify?: boolean;
    } & Lifetime,
  ): Promise<boolean>;
  /** Forgets the value under a key. */
  delete(options: { key: string }): Promise<boolean>;
  /** Tells of what other processes say on the bus. Stores and namespaces have none. */
  on?(event: 'bus:message:received', listener: (event: BusMessage) => void): unknown;
  /** Tells of what this process says on the bus. Stores and namespaces have none. */
  on?(event: 'bus:message:published', listener: (event: BusMessage) => void): unknown;
}

interface BusMessage {
  readonly message: { readonly keys: readonly string[] };
}
