import type { AnyEntity } from '@mikro-orm/core';
import {
  type FlowJob,
  type FlowOpts,
  FlowProducer,
  type Job,
  type JobNode,
  type QueueBaseOptions,
  QueueKeys,
} from 'bullmq';
import { type ByReferenceJob, jobClass } from './job.ts';
import { type BullMqOptions, type ByReferenceOptions, settle, type Settled } from './options.ts';
import { Route } from './route.ts';

/** A node of a flow, whichever place it has in its tree. */
interface FlowNode {
  readonly name: string;
  readonly queueName: string;
  readonly data?: unknown;
  readonly prefix?: string;
  readonly opts?: { readonly jobId?: string };
  readonly children?: readonly FlowNode[];
}

/** BullMQ's FlowProducer, its data by reference; a parent's `getChildrenValues()` gives its processor the rows of now. */
export class ByReferenceFlowProducer extends FlowProducer {
  readonly #settled: Settled<QueueBaseOptions>;
  readonly #job: typeof ByReferenceJob;

  constructor(options: BullMqOptions<QueueBaseOptions> & ByReferenceOptions, ...backend: unknown[]) {
    const settled = settle<QueueBaseOptions>(options);
    super(settled.options, ...(backend as []));
    this.#settled = settled;
    this.#job = jobClass(settled.codec);
  }

  protected override get Job(): typeof Job {
    return this.#job as typeof Job;
  }

  override async add(flow: FlowJob, options?: FlowOpts): Promise<JobNode> {
    return (await this.#send([flow], async ([stored]) => [await super.add(stored!, options)]))[0]!;
  }

  override addBulk(flows: FlowJob[]): Promise<JobNode[]> {
    return this.#send(flows, (stored) => super.addBulk(stored));
  }

  override async close(): Promise<void> {
    await Promise.allSettled(this.#settled.sending);
    await super.close();
  }

  #send(flows: readonly FlowJob[], add: (stored: FlowJob[]) => Promise<JobNode[]>): Promise<JobNode[]> {
    const entities = new Set<AnyEntity>();
    const written = flows.map((flow) => this.#written(flow as FlowNode, entities));
    const route = new Route(this.#settled, entities);
    const identified = written.map((flow) => identify(flow, route));
    return route.send(
      () => add(identified as FlowJob[]),
      () => identified.map((flow) => this.#waiting(flow)),
    );
  }

  #written(node: FlowNode, entities: Set<AnyEntity>): FlowNode {
    const { data, children } = node;
    return {
      ...node,
      data: this.#settled.codec.writeData(data, entities),
      ...(children && { children: children.map((child) => this.#written(child, entities)) }),
    };
  }

  /** The jobs of a flow that is still to be added. */
  #waiting(node: FlowNode): JobNode {
    const queue = this.#queueOf(node, node.prefix ?? this.opts.prefix);
    const job = new this.#job(queue, node.name, node.data, node.opts, node.opts!.jobId);
    job.validate();
    return { job, ...(node.children && { children: node.children.map((child) => this.#waiting(child)) }) };
  }

  /** What FlowProducer makes a node's job with; BullMQ 5 wants the keys of its queue as well. */
  #queueOf(node: FlowNode, prefix: string | undefined): never {
    const { queueFromNode } = this as unknown as { queueFromNode: (...args: unknown[]) => never };
    const isVersion5 = queueFromNode.length === 3;
    return queueFromNode.call(this, node, ...(isVersion5 ? [new QueueKeys(prefix), prefix] : [prefix]));
  }
}

function identify(node: FlowNode, route: Route): FlowNode {
  const { children } = node;
  const opts = route.identified(node.opts);
  return {
    ...node,
    ...(opts && { opts }),
    ...(children && { children: children.map((child) => identify(child, route)) }),
  };
}
