/**
 * BullMQ: an engine for `Tasks`, and BullMQ's own classes with their data by reference.
 *
 * @module mikro-orm-byref/bullmq
 * @packageDocumentation
 */
export { byReference } from './by-reference.ts';
export { bullmqEngine } from './engine.ts';
export { ByReferenceFlowProducer } from './flow-producer.ts';
export { byReferenceProcessor } from './processor.ts';
export { ByReferenceQueue } from './queue.ts';
export { ByReferenceWorker } from './worker.ts';
export type { Job } from 'bullmq';
export type { ByReferenceFlowProducer as FlowProducer } from './flow-producer.ts';
export type { ByReferenceQueue as Queue } from './queue.ts';
export type { ByReferenceWorker as Worker } from './worker.ts';
export type { AdapterOptions } from '../tasks/adapter-options.ts';
export type { JobSigning } from '../tasks/seal.ts';
export type { ByReferenceClasses } from './by-reference.ts';
export type { BullMqEngineOptions } from './engine-options.ts';
export type { BullMqOptions, WithSerializer } from './options.ts';
export type { PoolLike } from './transaction-pool.ts';
