import { ByReferenceError } from '../errors.ts';
import { ENGINE_TOPICS, type Publish } from './options.ts';

/** Hands on the messages of one kind of topics, on connections of its own. */
export interface Carrier {
  readonly publish: Publish;
  close(): Promise<void>;
}

/** Of engines, by what their topics begin with; `onError` is told of what no call fails with, as a lost connection. */
export type Openers = ReadonlyMap<string, (onError: (error: unknown) => void) => Carrier>;

/** Who hands on the messages of which topic, while a relay runs. */
export class Carriers {
  readonly #publish: Publish | undefined;
  readonly #openers: Openers;
  readonly #onError: (error: unknown) => void;
  readonly #open = new Map<string, Carrier>();

  constructor(publish: Publish | undefined, openers: Openers, onError: (error: unknown) => void) {
    this.#publish = publish;
    this.#openers = openers;
    this.#onError = onError;
  }

  /** Throws E_UNSUPPORTED for a topic that nobody in this process hands on. */
  publisherOf(topic: string): Publish {
    if (topic.startsWith(ENGINE_TOPICS)) return this.#carrierOf(topic).publish;
    if (this.#publish !== undefined) return this.#publish;
    throw ByReferenceError.unsupported(
      `Handing on ${JSON.stringify(topic)}`,
      'give the Outbox of the process that relays the option publish',
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((carrier) => carrier.close()));
  }

  #carrierOf(topic: string): Carrier {
    const opener = [...this.#openers].find(([prefix]) => topic.startsWith(prefix));
    if (opener === undefined) {
      throw ByReferenceError.unsupported(
        `Handing on ${JSON.stringify(topic)}`,
        'relay in a process that has the engine, which is given the same Outbox',
      );
    }
    const [prefix, open] = opener;
    const carrier = this.#open.get(prefix) ?? open(this.#onError);
    this.#open.set(prefix, carrier);
    return carrier;
  }
}
