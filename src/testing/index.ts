/**
 * For tests: an engine that records, and what engines and lock providers of your own must do.
 *
 * @module mikro-orm-byref/testing
 * @packageDocumentation
 */
export { contractEntities } from './engine-context.ts';
export { engineContract } from './engine-contract.ts';
export { localLockContract, lockContract } from './lock-contract.ts';
export { lockWorker } from './lock-worker.ts';
export { expectModelNames } from './model-names.ts';
export { recordingEngine } from './recording-engine.ts';
export type { ContractCase, EngineSetup } from './engine-context.ts';
export type { LocalLockSetup, LockSetup } from './lock-contract.ts';
export type { LockCommand } from './lock-worker.ts';
export type { RecordedJob, RecordingEngine } from './recording-engine.ts';
