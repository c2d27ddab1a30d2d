import { aCount, check, type Check, DESERIALIZE_CHECKS, isCount, isName, oneOf } from '../check-options.ts';
import { ByReferenceError } from '../errors.ts';
import type { Retries } from './engine.ts';
import type { BatchOptions, DelayOptions, TaskOptions } from './task.ts';
import type { TasksOptions } from './tasks.ts';

const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const whole: Check = ['a whole number', isWhole];
export const milliseconds: Check = ['milliseconds', isWhole];

const TASK_CHECKS: Record<keyof TaskOptions | 'batch', Check> = {
  as: DESERIALIZE_CHECKS.as,
  only: DESERIALIZE_CHECKS.only,
  missing: DESERIALIZE_CHECKS.missing,
  populate: DESERIALIZE_CHECKS.populate,
  filters: DESERIALIZE_CHECKS.filters,
  lockMode: DESERIALIZE_CHECKS.lockMode,
  drift: DESERIALIZE_CHECKS.drift,
  retryMissingForMs: milliseconds,
  retries: ['an object', (value) => typeof value === 'object' && value !== null],
  concurrency: aCount,
  transactional: oneOf(true, false),
  queue: ['a name', isName],
  batch: ['true or a positive integer', (value) => value === true || isCount(value)],
};

/** What adapters to an engine's own API take. */
export const ADAPTER_CHECKS: Record<
  'plain' | 'signed' | 'only' | 'missing' | 'populate' | 'retryMissingForMs' | 'encode',
  Check
> = {
  plain: oneOf('pass', 'refuse'),
  signed: DESERIALIZE_CHECKS.signed,
  only: DESERIALIZE_CHECKS.only,
  missing: DESERIALIZE_CHECKS.missing,
  populate: DESERIALIZE_CHECKS.populate,
  retryMissingForMs: TASK_CHECKS.retryMissingForMs,
  encode: oneOf(true, false),
};

const RETRIES_CHECKS: Record<keyof Retries, Check> = {
  limit: whole,
  delayMs: milliseconds,
  backoff: oneOf(true, false),
};

const DELAY_CHECKS: Record<keyof DelayOptions, Check> = {
  em: DESERIALIZE_CHECKS.em,
  delayMs: milliseconds,
  dedupe: ['any value', () => true],
  priority: ['an integer', Number.isSafeInteger],
};

const TASKS_CHECKS: Record<keyof TasksOptions, Check> = {
  plain: oneOf('pass', 'refuse'),
  signed: DESERIALIZE_CHECKS.signed,
  context: [
    '{ capture, run }',
    (value) =>
      typeof (value as TasksOptions['context'])?.capture === 'function' &&
      typeof (value as TasksOptions['context'])?.run === 'function',
  ],
};

export function checkTaskOptions(name: unknown, handler: unknown, options: TaskOptions & Partial<BatchOptions>): void {
  if (!isName(name)) throw ByReferenceError.invalidOption('name of a task', 'a name', name);
  if (typeof handler !== 'function')
    throw ByReferenceError.invalidOption(`handler of "${String(name)}"`, 'a function', handler);
  check(options, TASK_CHECKS, 'option ');
  if (options.retries !== undefined) check(options.retries, RETRIES_CHECKS, 'option retries.');
}

export const checkDelayOptions = (options: DelayOptions): void => check(options, DELAY_CHECKS, 'option ');
export const checkTasksOptions = (options: TasksOptions): void => check(options, TASKS_CHECKS, 'option ');
