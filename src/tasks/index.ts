/**
 * Functions that also run later, in a worker, with the current rows.
 *
 * @module mikro-orm-byref/tasks
 * @packageDocumentation
 */
export { inlineEngine } from './inline-engine.ts';
export { DiscardJobError, RetryJobError, type RetryJobOptions } from './job-errors.ts';
export { JobFailedError, JobHandle, type WaitOptions } from './job-handle.ts';
export { Task } from './task.ts';
export { Tasks } from './tasks.ts';
export type {
  Engine,
  JobFailure,
  JobSnapshot,
  JobState,
  NewJob,
  Outcome,
  QueueSettings,
  ReceivedJob,
  Retries,
  RunJobs,
  StoredJob,
} from './engine.ts';
export type { ErrorReport, OnError } from './error-report.ts';
export type { JobSigning } from './seal.ts';
export type {
  BatchHandler,
  BatchOptions,
  Change,
  ChangeOf,
  ChangeTask,
  DeclaredTask,
  DeclareOptions,
  DelayOptions,
  Handler,
  JobContext,
  TaskDecorator,
  TaskMethod,
  TaskOptions,
  Upgrade,
  Upgrades,
} from './task.ts';
export type { MethodTasks, TaskClass } from './task-methods.ts';
export type { TaskContext } from './task-context.ts';
export type { StopOptions, TasksOptions } from './tasks.ts';
export type { JobTrace } from './tracing.ts';
