import { globalManagers, runInRequest } from '../orm/context.ts';
import { isEnvelope } from '../wire/envelope.ts';
import type { JobCodec } from './job-codec.ts';

/** The part of BullMQ's QueueEvents that is used here. */
export interface QueueEventsLike {
  readonly name: string;
  emit(event: 'error', error: Error): unknown;
}

/** What an event tells of a job: its result, or its progress. */
interface Brought {
  readonly jobId: string;
  readonly returnvalue?: unknown;
  readonly data?: unknown;
}

/** Reads what the events of a queue bring, whoever's process the job ran in. */
export class QueueEventReading {
  readonly #codec: JobCodec;

  constructor(codec: JobCodec) {
    this.#codec = codec;
  }

  /**
   * Calls a listener of a queue's event with the current rows in the result or progress that it brings, in an
   * EntityManager and request context of its own: null for a row that is gone. What can't be read stays as it is stored.
   * That is told of, and so is what the listener fails with, as an event `error`.
   */
  async listen(
    events: QueueEventsLike,
    [event, ...others]: readonly unknown[],
    listener: (...args: unknown[]) => unknown,
  ): Promise<unknown> {
    const tell = (error: unknown): unknown => events.emit('error', error as Error);
    const codec = this.#codec;
    return runInRequest(globalManagers(codec.serializer), (em) =>
      codec.context.run(undefined, em, async () => {
        const brought = event as Brought | undefined;
        const member = brought?.returnvalue === undefined ? 'data' : 'returnvalue';
        const stored = brought?.[member];
        if (!isEnvelope(stored)) return listener(event, ...others);
        const open = (): unknown => codec.openValue(stored, { queue: events.name, id: brought!.jobId });
        const [outcome] = await codec
          .read([stored], open, em, { missing: 'null' })
          .catch((reason: unknown) => [{ status: 'rejected', reason }] as const);
        if (outcome!.status === 'rejected') tell(outcome!.reason);
        const current = outcome!.status === 'fulfilled' ? outcome!.value : stored;
        return listener({ ...brought, [member]: current }, ...others);
      }),
    ).catch(tell);
  }
}
