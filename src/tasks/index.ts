export { inlineEngine } from './inline-engine.ts';
export { JobFailedError, JobHandle } from './job-handle.ts';
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
} from './engine.ts';
export type { JobSigning } from './seal.ts';
export type {
  BatchHandler,
  BatchOptions,
  Change,
  ChangeOf,
  DelayOptions,
  Handler,
  JobContext,
  Task,
  TaskOptions,
} from './task.ts';
export type { TaskContext, TasksOptions } from './tasks.ts';
