import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { EntityManagers } from '../reviving/entity-managers.ts';
import { each } from '../reviving/outcomes.ts';
import type { AdapterCodec } from '../tasks/adapter-codec.ts';
import type { Outcome } from '../tasks/engine.ts';
import { describe, retry } from '../tasks/outcome.ts';
import type { BossJob } from './boss-like.ts';
import { resultOf } from './engine.ts';
import type { Methods } from './methods.ts';
import type { Outputs } from './outputs.ts';
import type { Subscriptions } from './subscriptions.ts';

type Handler = (jobs: BossJob[]) => Promise<unknown>;

/** A job with what its seal has given free. */
interface OpenedJob {
  readonly job: BossJob;
  readonly opened: unknown;
}

/** Told of a job that can't be read. */
type Refuse = (job: BossJob, reason: unknown) => void;

/** pg-boss's methods that hand out jobs, their data as the current rows. */
export class Receiver {
  readonly methods: Methods;
  readonly #boss: Methods;
  readonly #codec: AdapterCodec;
  readonly #outputs: Outputs;
  readonly #subscriptions: Subscriptions;

  constructor(boss: Methods, codec: AdapterCodec, outputs: Outputs, subscriptions: Subscriptions) {
    this.#boss = boss;
    this.#codec = codec;
    this.#outputs = outputs;
    this.#subscriptions = subscriptions;
    this.methods = {
      work: async (name, ...args) => this.#work(name as string, args),
      fetch: async (name, ...args) => this.#fetch(name as string, args),
    };
  }

  #work(queue: string, args: readonly unknown[]): unknown {
    const handler = args.at(-1) as Handler;
    const options = (args.length > 1 ? args[0] : {}) as { perJobResults?: boolean; transactional?: boolean };
    if (options.transactional === true) {
      throw ByReferenceError.unsupported(
        'A worker of pg-boss with transactional: true',
        'its transaction is none of MikroORM’s; define a task with transactional: true instead',
      );
    }
    const settled = { ...options, perJobResults: true, includeMetadata: true };
    return this.#boss['work']!(queue, settled, async (jobs: BossJob[]) => {
      const outcomes = await this.#run(queue, jobs, handler, options.perJobResults ?? false);
      return jobs.map((job) => resultOf(job, outcomes.get(job)!));
    });
  }

  /** An outcome for each job: those that can't be read have theirs, the others what the handler makes of them. */
  async #run(
    queue: string,
    jobs: readonly BossJob[],
    handler: Handler,
    isPerJob: boolean,
  ): Promise<Map<BossJob, Outcome>> {
    const outcomes = new Map<BossJob, Outcome>();
    const refuse: Refuse = (job, reason) => void outcomes.set(job, this.#codec.unreadable(reason, waitedMs(job)));
    const handle = async (live: ReadonlyMap<BossJob, BossJob>): Promise<void> => {
      const returned = await handler([...live.values()]);
      for (const job of live.keys()) {
        outcomes.set(job, this.#outputs.outcome({ queue, id: job.id }, returned, isPerJob, live.size));
      }
    };
    for (const group of this.#groups(queue, jobs, refuse)) {
      try {
        await runInRequest(globalManagers(this.#codec.serializer), (em) => this.#inContext(group, em, refuse, handle));
      } catch (error) {
        for (const { job } of group) {
          if ((outcomes.get(job)?.status ?? 'completed') === 'completed') outcomes.set(job, retry(error));
        }
      }
    }
    return outcomes;
  }

  /**
   * Jobs whose data is in the EntityManager around the call. One that can't be read is failed with the reason, for the
   * queue to retry or to put into its dead letter queue, and left out.
   */
  async #fetch(queue: string, args: readonly unknown[]): Promise<BossJob[]> {
    const { serializer } = this.#codec;
    // Before there are jobs, which would be nobody's until they expire.
    const em = new EntityManagers(serializer.orms).of(serializer.orm);
    const jobs = (await this.#boss['fetch']!(queue, ...args)) as BossJob[];
    const { db } = (args[0] ?? {}) as { readonly db?: unknown };
    const refused = new Map<BossJob, unknown>();
    const read = new Map<BossJob, BossJob>();
    const refuse: Refuse = (job, reason) => void refused.set(job, reason);
    const fail = async ([job, reason]: [BossJob, unknown]): Promise<unknown> =>
      this.#boss['fail']!(queue, job, describe(reason), { db });
    try {
      for (const group of this.#groups(queue, jobs, refuse)) {
        await this.#inContext(group, em, refuse, async (live) => live.forEach((own, job) => read.set(job, own)));
      }
    } catch (error) {
      // Nobody will have them.
      await Promise.allSettled(jobs.map((job) => fail([job, refused.get(job) ?? error])));
      throw error;
    }
    for (const entry of refused) await fail(entry);
    return jobs.flatMap((job) => read.get(job) ?? []);
  }

  /** Jobs of one context each. */
  #groups(queue: string, jobs: readonly BossJob[], refuse: Refuse): Iterable<readonly OpenedJob[]> {
    const { seal, context } = this.#codec;
    const outcomes = each(jobs, ({ data }) => seal.openJob(data, { queue }, this.#subscriptions.of(queue)));
    const opened: OpenedJob[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const job = jobs[index]!;
      if (outcome.status === 'fulfilled') opened.push({ job, opened: outcome.value });
      else refuse(job, outcome.reason);
    }
    return Map.groupBy(opened, (one) => JSON.stringify(context.of(one.opened))).values();
  }

  /** Reads jobs of one context in it, and hands on those that can be read: each with its copy that has the rows. */
  async #inContext(
    group: readonly OpenedJob[],
    em: EntityManager,
    refuse: Refuse,
    use: (live: ReadonlyMap<BossJob, BossJob>) => Promise<void>,
  ): Promise<void> {
    const { context } = this.#codec;
    const captured = await context.read(group[0]!.opened, em);
    if (captured.status === 'rejected') return group.forEach(({ job }) => refuse(job, captured.reason));
    await context.run(captured.value, em, async () => {
      const live = new Map<BossJob, BossJob>();
      const read = await this.#codec.read(group, ({ opened }) => opened, em);
      for (const [index, { job }] of group.entries()) {
        const outcome = read[index]!;
        if (outcome.status === 'fulfilled') live.set(job, { ...job, data: outcome.value });
        else refuse(job, outcome.reason);
      }
      if (live.size > 0) await use(live);
    });
  }
}

/** For how long a job was due when it was fetched, by the database's clock alone. */
function waitedMs({ createdOn, startAfter, startedOn }: BossJob): number {
  if (createdOn === undefined || startedOn === undefined) return 0;
  return startedOn.getTime() - Math.max(createdOn.getTime(), startAfter?.getTime() ?? 0);
}
