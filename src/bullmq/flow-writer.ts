import type { AnyEntity } from '@mikro-orm/core';
import { type FlowJob, type FlowProducer, type Job, type JobNode, QueueKeys } from 'bullmq';
import { waiting } from './job.ts';
import type { Writing } from './options.ts';
import { Route } from './route.ts';
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
    const route = new Route(this.writing, entities);
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
      data: this.writing.codec.writeData(data, entities),
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
