export { byReference } from './by-reference.ts';
export { bullmqEngine } from './engine.ts';
export { ByReferenceFlowProducer } from './flow-producer.ts';
export { byReferenceProcessor } from './processor.ts';
export { ByReferenceQueue } from './queue.ts';
export { ByReferenceWorker } from './worker.ts';

export type { AdapterOptions } from '../tasks/adapter-options.ts';
export type { ByReferenceClasses } from './by-reference.ts';
export type { BullMqEngineOptions } from './engine.ts';
export type { BullMqOptions, ByReferenceOptions } from './options.ts';
export type { PoolLike } from './transaction-pool.ts';
