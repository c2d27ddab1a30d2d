/** How long an entry is good, null for ever, and how long it is kept, in milliseconds. */
interface Lifetime {
  readonly ttl: number | null;
  readonly grace: number | false;
}

/** What this library uses of a `BentoCache` (1.6), of one of its stores, or of a namespace of one. */
export interface BentoCacheLike {
  get(options: { key: string } & Lifetime): Promise<unknown>;
  set(
    options: {
      key: string;
      value: unknown;
      suppressL2Errors?: boolean;
      skipL2Write?: boolean;
      skipBusNotify?: boolean;
    } & Lifetime,
  ): Promise<boolean>;
  delete(options: { key: string }): Promise<boolean>;
  /** Stores and namespaces have none. */
  on?(event: 'bus:message:received', listener: (event: BusMessage) => void): unknown;
  on?(event: 'bus:message:published', listener: (event: BusMessage) => void): unknown;
}

interface BusMessage {
  readonly message: { readonly keys: readonly string[] };
}
