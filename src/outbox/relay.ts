import type { Retries } from '../tasks/engine.ts';
import { describe } from '../tasks/outcome.ts';
import type { Carriers } from './carriers.ts';
import type { OutboxMessage } from './message.ts';
import type { OutboxErrorReport, PublishedMessage } from './options.ts';
import type { Claim, OutboxTable } from './table.ts';

/** What a relay works with. */
export interface RelayParts {
  readonly table: OutboxTable;
  readonly carriers: Carriers;
  readonly retries: Retries;
  readonly batch: number;
  readonly leaseMs: number;
  readonly tell: (report: OutboxErrorReport) => void;
}

/** However often a message has failed, it is tried again after this time. */
const LONGEST_DELAY_MS = 10 * 60_000;

/** Hands on what is due, one claim after the other. */
export class Relay {
  readonly #parts: RelayParts;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** One claim. Resolves with whether there may be more to take. */
  async pass(signal: AbortSignal): Promise<boolean> {
    const { table, batch, leaseMs } = this.#parts;
    const claim = await table.claim(batch, leaseMs);
    const left = new Set(claim.messages);
    for (const messages of callsOf(claim.messages)) {
      if (signal.aborted || performance.now() >= claim.endsAt) break;
      for (const message of messages) left.delete(message);
      await this.#handOn(messages, claim);
    }
    if (left.size > 0) await table.giveBack([...left]);
    return claim.messages.length === batch;
  }

  async #handOn(messages: readonly OutboxMessage[], claim: Claim): Promise<void> {
    const { table, carriers } = this.#parts;
    try {
      // Whoever took it last time, and before, has died of it.
      if (messages[0]!.attempts > this.#parts.retries.limit + 1) throw new Error('Its relays have died.');
      const publish = carriers.publisherOf(messages[0]!.topic);
      await inTime(claim, (signal) => publish(messages.map(published), { signal }));
    } catch (error) {
      return this.#putOff(messages, error);
    }
    await table.remove(messages);
  }

  async #putOff(messages: readonly OutboxMessage[], error: unknown): Promise<void> {
    const { table, retries, tell } = this.#parts;
    const { name, message } = describe(error);
    const groups = Map.groupBy(messages, ({ attempts }) => delayAfter(attempts, retries));
    for (const [delayMs, own] of groups) {
      await table.putOff(own, { error: `${name}: ${message}`, delayMs });
      tell({ messages: own.map(published), final: delayMs === undefined, error });
    }
  }
}

/**
 * What is handed on together: the messages of a topic that are new, as one. Each that has been taken before goes alone:
 * whatever it did then, it does to itself.
 */
function callsOf(messages: readonly OutboxMessage[]): readonly (readonly OutboxMessage[])[] {
  const fresh = messages.filter(({ attempts }) => attempts === 1);
  const again = messages.filter(({ attempts }) => attempts > 1);
  return [...Map.groupBy(fresh, ({ topic }) => topic).values(), ...again.map((message) => [message])];
}

const published = ({ id, topic, payload, createdAt, attempts }: OutboxMessage): PublishedMessage => ({
  id,
  topic,
  payload,
  createdAt,
  attempt: attempts,
});

/** Until the next attempt; undefined where there is none. */
function delayAfter(attempts: number, { limit, delayMs, backoff }: Retries): number | undefined {
  if (attempts > limit) return undefined;
  return Math.min(delayMs * (backoff ? 2 ** (attempts - 1) : 1), LONGEST_DELAY_MS);
}

/** Rejects when the claim is over: what takes longer is no longer this relay's to hand on. */
async function inTime({ endsAt }: Claim, publish: (signal: AbortSignal) => unknown): Promise<void> {
  const controller = new AbortController();
  const { promise: isOver, reject } = Promise.withResolvers<never>();
  const end = (): void => {
    const error = new Error('publish did not settle within leaseMs.');
    controller.abort(error);
    reject(error);
  };
  const timer = setTimeout(end, endsAt - performance.now());
  try {
    await Promise.race([publish(controller.signal), isOver]);
  } finally {
    clearTimeout(timer);
  }
}
