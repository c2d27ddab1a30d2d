import { type Job, type JobType, Queue, type QueueOptions } from 'bullmq';
import type { StoredJob } from '../tasks/engine.ts';
import { PORTION } from '../tasks/stored-rows.ts';
import { failureOf } from './engine-worker.ts';
import { clientOf } from './redis-client.ts';

/** BullMQ's states, and what a look has for them. */
const STATES = {
  waiting: 'waiting',
  prioritized: 'waiting',
  'waiting-children': 'waiting',
  delayed: 'delayed',
  active: 'active',
  failed: 'failed',
} as const satisfies Partial<Record<JobType, StoredJob['state']>>;

/** The jobs of all queues of a prefix. Nothing is written: not what a Queue keeps of itself either. */
export async function* storedInRedis(options: QueueOptions): AsyncGenerator<readonly StoredJob[]> {
  const { prefix = 'bull' } = options;
  const open = (name: string): Queue => {
    const queue = new Queue(name, { ...options, skipMetasUpdate: true });
    // What goes wrong is thrown by what asks.
    queue.on('error', () => undefined);
    return queue;
  };
  const { names, store } = await keptIn(open('byref'), prefix);
  const placed = (jobs: readonly StoredJob[]): StoredJob[] => jobs.map((job) => ({ ...job, store }));
  for (const name of names) {
    const queue = open(name);
    try {
      for (const [type, state] of Object.entries(STATES)) {
        for await (const jobs of jobsOf(queue, type as keyof typeof STATES, state)) yield placed(jobs);
      }
      yield placed(await schedulersOf(queue));
    } finally {
      await queue.close();
    }
  }
}

/** The queues, by what BullMQ keeps of each, and which database of which server they are in. */
async function keptIn(queue: Queue, prefix: string): Promise<{ names: readonly string[]; store: string }> {
  try {
    const names = new Set<string>();
    const client = await clientOf(queue);
    const server = /run_id:(\w+)/.exec(await client.info('server'))?.[1];
    for await (const keys of client.scanStream({ match: `${escaped(prefix)}:*:meta`, count: PORTION })) {
      for (const key of keys) names.add(key.slice(prefix.length + 1, -':meta'.length));
    }
    return { names: [...names].sort(), store: `${server} ${client.options?.db ?? 0} ${prefix}` };
  } finally {
    await queue.close();
  }
}

const escaped = (prefix: string): string => prefix.replace(/[\\*?[\]]/g, '\\$&');

async function* jobsOf(
  queue: Queue,
  type: keyof typeof STATES,
  state: StoredJob['state'],
): AsyncGenerator<readonly StoredJob[]> {
  for (let start = 0; ; start += PORTION) {
    const jobs = (await queue.getJobs([type], start, start + PORTION - 1)) as (Job | undefined)[];
    const found = jobs.filter((job) => job !== undefined);
    if (found.length > 0) {
      yield found.map(({ id, name, data, failedReason, stacktrace }) => ({
        id: id!,
        queue: queue.name,
        name,
        state,
        data: data as unknown,
        ...(state === 'failed' && { failure: failureOf(failedReason, stacktrace) }),
      }));
    }
    if (jobs.length < PORTION) return;
  }
}

async function schedulersOf(queue: Queue): Promise<readonly StoredJob[]> {
  const schedulers = await queue.getJobSchedulers();
  return schedulers.flatMap(({ key, name, template }) =>
    template?.data === undefined
      ? []
      : [{ id: key, queue: queue.name, name, state: 'scheduled' as const, data: template.data as unknown }],
  );
}
