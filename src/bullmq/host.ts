import type { Job } from 'bullmq';

/** What reads and writes the jobs of a queue, a flow producer or a worker by reference. */
interface Companion {
  /** The class of its jobs. */
  readonly job: typeof Job;
}

type Method = (this: never, ...args: never[]) => unknown;

const COMPANION = Symbol.for('mikro-orm-byref.bullmq');

/** From here on the methods of `host` find its companion. */
export const accompany = (host: object, companion: object): unknown =>
  Object.defineProperty(host, COMPANION, { value: companion });

export const isByReference = (host: object): boolean => COMPANION in host;

export const companionOf = <Own extends object>(host: object): Own =>
  (host as { readonly [COMPANION]: Own })[COMPANION];

/**
 * Puts methods in the place of BullMQ's: on a prototype, so that a class on top of it reaches them by `super`, or on a
 * single host. They find the companion by `this`.
 */
export function replaceMethods(host: object, methods: Readonly<Record<string, Method>>): void {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(host, name, { value, writable: true, configurable: true });
  }
  Object.defineProperty(host, 'Job', {
    get(this: object) {
      return companionOf<Companion>(this).job;
    },
    configurable: true,
  });
}
