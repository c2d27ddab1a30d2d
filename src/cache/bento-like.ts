/** How long an entry is good, and how long it is kept, in milliseconds. */
interface Lifetime {
  readonly ttl: number;
  readonly grace: number | false;
}

/** What this library uses of a `BentoCache` (1.6), of one of its stores, or of a namespace of one. */
export interface BentoCacheLike {
  get(options: { key: string } & Lifetime): Promise<unknown>;
  set(options: { key: string; value: unknown; suppressL2Errors?: boolean } & Lifetime): Promise<boolean>;
  getOrSet(
    options: {
      key: string;
      factory: (context: { gracedEntry: { value: unknown } | undefined }) => unknown;
      skipL2Write: boolean;
      skipBusNotify: boolean;
    } & Lifetime,
  ): Promise<unknown>;
  delete(options: { key: string }): Promise<boolean>;
  /** Stores and namespaces have none. */
  on?(event: 'bus:message:received', listener: (event: BusMessage) => void): unknown;
  on?(event: 'bus:message:published', listener: (event: BusMessage) => void): unknown;
  on?(event: 'cache:hit', listener: (event: { key: string; layer: 'l1' | 'l2' }) => void): unknown;
  off?(event: 'cache:hit', listener: (event: { key: string; layer: 'l1' | 'l2' }) => void): unknown;
}

interface BusMessage {
  readonly message: { readonly keys: readonly string[] };
}
