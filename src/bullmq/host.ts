import type { Job } from 'bullmq';

/** Serves a queue, a flow producer or a worker: reads and writes its jobs by reference. */
interface Servant {
  /** The class of its jobs. */
  readonly job: typeof Job;
}

type Method = (this: never, ...args: never[]) => unknown;

const SERVANT = Symbol.for('mikro-orm-byref.bullmq');

/** From here on the methods of `host` find its servant. */
export const serve = (host: object, servant: Servant): unknown =>
  Object.defineProperty(host, SERVANT, { value: servant });

export const isByReference = (host: object): boolean => SERVANT in host;

export const servantOf = <Own extends Servant>(host: object): Own => (host as { readonly [SERVANT]: Own })[SERVANT];

/**
 * Puts methods in the place of BullMQ's: on a prototype, so that a class on top of it reaches them by `super`, or on a
 * single host. They find the servant by `this`.
 */
export function replaceMethods(host: object, methods: Readonly<Record<string, Method>>): void {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(host, name, { value, writable: true, configurable: true });
  }
  Object.defineProperty(host, 'Job', {
    get(this: object) {
      return servantOf(this).job;
    },
    configurable: true,
  });
}
