import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { createHash, randomUUID } from 'node:crypto';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Engine, NewJob, QueueSettings } from './engine.ts';
import { JobHandle } from './job-handle.ts';
import type { JobMetadata } from './job-metadata.ts';
import type { Seal } from './seal.ts';
import { capture, type TaskContext } from './task-context.ts';
import { checkDelayOptions, type DeclaredTask, type DelayOptions } from './task.ts';
import { canHoldJobs, transactionFor } from './transaction.ts';

/** Which jobs are to be made. */
export interface JobTarget {
  /** The task's name. */
  readonly name: string;
  readonly queue: QueueSettings;
}

/** Makes jobs of tasks, in the transaction that they belong to or after it. */
export class Producer {
  readonly #serializer: EntitySerializer;
  readonly #engine: Engine;
  readonly #seal: Seal;
  readonly #context: TaskContext | undefined;

  constructor(serializer: EntitySerializer, engine: Engine, seal: Seal, context: TaskContext | undefined) {
    this.#serializer = serializer;
    this.#engine = engine;
    this.#seal = seal;
    this.#context = context;
  }

  /** A task as a producer has it. */
  declared(target: JobTarget): DeclaredTask<unknown, unknown> {
    const { name, queue } = target;
    return {
      taskName: name,
      delay: async (args, options = {}) => (await this.enqueue(target, [args], options))[0]!,
      bulk: (list, options = {}) => this.enqueue(target, list, options),
      schedule: async (cron, args, { timeZone = 'UTC' } = {}) =>
        this.#engine.schedule(queue, name, cron, this.#encode(target, args), timeZone),
      unschedule: () => this.#engine.unschedule(queue, name),
      handle: (id) => this.#handle(target, id),
    };
  }

  async enqueue(target: JobTarget, list: readonly unknown[], options: DelayOptions): Promise<JobHandle<unknown>[]> {
    checkDelayOptions(options);
    const entities = new Set<AnyEntity>();
    const jobs = list.map((args) => this.#newJob(target, args, options, entities));
    for (const job of jobs) this.#engine.check?.(job);
    const handles = jobs.map(({ id }) => this.#handle(target, id));
    const em = transactionFor(this.#serializer, options.em, entities);
    const isPart = this.#engine.isTransactional && (em === undefined || canHoldJobs(em, this.#serializer));
    if (em !== undefined && !isPart) {
      this.#enqueueAfterCommit(em, jobs, handles, options);
      return handles;
    }
    await this.#send(jobs, handles, options, em);
    if (em !== undefined) for (const handle of handles) handle.inTransaction(em);
    return handles;
  }

  async #send(
    jobs: readonly NewJob[],
    handles: readonly JobHandle<unknown>[],
    { at }: DelayOptions,
    em: EntityManager | undefined,
  ): Promise<void> {
    const due = jobs.map((job) =>
      at === undefined ? job : { ...job, delayMs: Math.max(0, at.getTime() - Date.now()) },
    );
    const ids = await this.#engine.enqueue(due, em);
    for (const [index, id] of ids.entries()) handles[index]!.id = id;
  }

  /** Nothing waits for the commit here: whoever awaited it inside the transaction would wait for good. */
  #enqueueAfterCommit(
    em: EntityManager,
    jobs: readonly NewJob[],
    handles: readonly JobHandle<unknown>[],
    options: DelayOptions,
  ): void {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever wants to know asks `enqueued`; the failure is told by afterCommit in any case.
    promise.catch(() => undefined);
    for (const handle of handles) handle.waitsFor(promise, em);
    const run = async (): Promise<void> => {
      // What was taken back meanwhile stays away.
      const wanted = [...handles.keys()].filter((index) => handles[index]!.begin());
      const left = [wanted.map((index) => jobs[index]!), wanted.map((index) => handles[index]!)] as const;
      if (wanted.length === 0) return;
      await this.#send(...left, options, undefined).catch((error: unknown) => {
        reject(error);
        throw error;
      });
    };
    const committed = async (): Promise<void> => {
      await run();
      resolve();
    };
    // A job of a row that is not there is discarded in the end; one that was never enqueued would be missed by nobody.
    const onUnknown = async ({ cause }: ByReferenceError): Promise<void> => {
      await run();
      reject(ByReferenceError.commitUnknown(cause, ' Its job is enqueued all the same.'));
    };
    const onRollback = (): void => {
      for (const handle of handles) handle.begin();
      reject(ByReferenceError.rolledBack());
    };
    afterCommit(em, committed, { onRollback, onUnknown });
  }

  #newJob({ name, queue }: JobTarget, args: unknown, options: DelayOptions, entities: Set<AnyEntity>): NewJob {
    const { dedupe, delayMs = 0, priority = 0 } = options;
    const key = dedupe === undefined ? undefined : this.#serializer.dedupeKey([name, dedupe]);
    return {
      id: randomUUID(),
      queue,
      data: this.#encode({ name, queue }, args, entities),
      delayMs,
      priority,
      dedupeKey: key && createHash('sha256').update(key).digest('base64url'),
    };
  }

  #encode({ name, queue }: JobTarget, args: unknown, entities?: Set<AnyEntity>): JsonObject {
    const context = this.#context && capture(this.#serializer, this.#context);
    const task: JobMetadata = { name, ...(context !== undefined && { context }) };
    // The only task of a queue of its name goes without saying.
    const isPlain = name === queue.name && this.#context === undefined && !this.#seal.isOn;
    const options = { sign: false, ...(isPlain ? {} : { metadata: { task } }) } as const;
    const listener = { entity: (entity: AnyEntity) => void entities?.add(entity) };
    const envelope = this.#serializer.encodeTelling(args, options, listener);
    return this.#seal.close(envelope, 'job', { queue: queue.name });
  }

  #handle({ queue }: JobTarget, id: string): JobHandle<unknown> {
    return new JobHandle(id, this.#engine, queue, { serializer: this.#serializer, seal: this.#seal });
  }
}
