import type { AnyEntity } from '@mikro-orm/core';
import { type FlowJob, type FlowOpts, type FlowProducer, type Job, type JobNode, QueueKeys } from 'bullmq';
import { companionOf } from './host.ts';
import { waiting } from './job.ts';
import type { Writing } from './options.ts';
import type { Route } from './route.ts';
import { Writer } from './writer.ts';

/** A node of a flow, whichever place it has in its tree. */
interface FlowNode {
  readonly name: string;
  readonly queueName: string;
  readonly data?: unknown;
  readonly prefix?: string;
  readonly opts?: { readonly jobId?: string };
  readonly children?: readonly FlowNode[];
}

/** What a flow producer adds, by reference; BullMQ's own methods are handed in. */
export class FlowWriter extends Writer {
  readonly #producer: FlowProducer;

  constructor(producer: FlowProducer, writing: Writing, base?: typeof Job) {
    super(writing, base);
    this.#producer = producer;
  }

  add(flows: readonly FlowJob[], add: (stored: FlowJob[]) => Promise<JobNode[]>): Promise<JobNode[]> {
    const entities = new Set<AnyEntity>();
    const written = flows.map((flow) => this.#written(flow as FlowNode, entities));
    const route = this.route(entities);
    const identified = written.map((flow) => identify(flow, route));
    const nodes = identified.flatMap(nodesOf);
    return route.send(
      async (isTaken) => {
        const kept = identified.flatMap((flow) => without(flow, (node) => isTaken(nodes.indexOf(node))));
        return kept.length === 0 ? [] : add(kept as FlowJob[]);
      },
      () => identified.map((flow) => this.#waiting(flow)),
      (added) => added.flatMap(jobsOf),
    );
  }

  #written(node: FlowNode, entities: Set<AnyEntity>): FlowNode {
    const { data, children } = node;
    return {
      ...node,
      data: this.codec.writeData(data, node, entities),
      ...(children && { children: children.map((child) => this.#written(child, entities)) }),
    };
  }

  /** The jobs of a flow that is still to be added. */
  #waiting(node: FlowNode): JobNode {
    const queue = this.#queueOf(node, node.prefix ?? this.#producer.opts.prefix);
    const job = waiting(new this.job(queue, node.name, node.data, node.opts, node.opts!.jobId));
    return { job, ...(node.children && { children: node.children.map((child) => this.#waiting(child)) }) };
  }

  /** What FlowProducer makes a node's job with; BullMQ 5 wants the keys of its queue as well. */
  #queueOf(node: FlowNode, prefix: string | undefined): never {
    const { queueFromNode } = this.#producer as unknown as { queueFromNode: (...args: unknown[]) => never };
    const isVersion5 = queueFromNode.length === 3;
    return queueFromNode.call(this.#producer, node, ...(isVersion5 ? [new QueueKeys(prefix), prefix] : [prefix]));
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

/** A tree's nodes and their jobs, in one order. */
const nodesOf = (node: FlowNode): FlowNode[] => [node, ...(node.children ?? []).flatMap(nodesOf)];

const jobsOf = ({ job, children = [] }: JobNode): Job[] => [job, ...children.flatMap(jobsOf)];

/** A tree, or none, without the jobs that were taken back: with its children, as BullMQ removes one. */
function without(node: FlowNode, isTaken: (node: FlowNode) => boolean): FlowNode[] {
  if (isTaken(node)) return [];
  const { children } = node;
  return [{ ...node, ...(children && { children: children.flatMap((child) => without(child, isTaken)) }) }];
}

/** A flow producer's methods, on top of its own. */
export const flowMethods = (own: Pick<FlowProducer, 'add' | 'addBulk' | 'close'>) => ({
  async add(this: FlowProducer, flow: FlowJob, options?: FlowOpts): Promise<JobNode> {
    const add = async ([stored]: FlowJob[]): Promise<JobNode[]> => [await own.add.call(this, stored!, options)];
    return (await companionOf<FlowWriter>(this).add([flow], add))[0]!;
  },

  async addBulk(this: FlowProducer, flows: FlowJob[]): Promise<JobNode[]> {
    return companionOf<FlowWriter>(this).add(flows, (stored) => own.addBulk.call(this, stored));
  },

  close(this: FlowProducer): Promise<void> {
    return companionOf<FlowWriter>(this).close(() => own.close.call(this));
  },
});
