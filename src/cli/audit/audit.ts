import { type EntityManager, IsolationLevel } from '@mikro-orm/core';
import { isPostgres } from '../../orm/platform.ts';
import type { Engine, StoredJob } from '../../tasks/engine.ts';
import type { Application } from '../application.ts';
import { type Found, Look } from './look.ts';

/** What is stored of one task. */
export interface TaskCount {
  readonly task: string | undefined;
  readonly queue: string;
  readonly jobs: { [State in StoredJob['state']]: number };
}

/** Jobs of one task with one problem. */
export interface ProblemCount {
  readonly task: string | undefined;
  readonly queue: string;
  readonly problem: string;
  count: number;
  /** The first of them. */
  readonly samples: { readonly id: string; readonly state: string; readonly message: string }[];
}

export interface Audit {
  readonly jobs: number;
  readonly tasks: readonly TaskCount[];
  readonly problems: readonly ProblemCount[];
}

export interface AuditSettings {
  readonly rows: boolean;
  readonly sample: number;
  readonly progress: ((text: string) => void) | undefined;
}

/** Looks at all that the engines of an application have stored, some at a time, in a transaction that can't write. */
export async function audit(application: Application, { rows, sample, progress }: AuditSettings): Promise<Audit> {
  const counting = new Counting(sample);
  await lookAtStored(application, { rows, progress }, (found) => counting.add(found));
  return counting.result();
}

/** Tells of all that the engines have stored. */
export async function lookAtStored(
  { serializer, tasks }: Application,
  { rows, progress }: Pick<AuditSettings, 'rows' | 'progress'>,
  tell: (found: Found, engine: Engine) => void,
): Promise<void> {
  const insides = tasks.map((each) => each.insides);
  // What one engine finds may be for the tasks of another one, which is on the same store.
  const look = new Look(serializer, insides, rows);
  let count = 0;
  const engines = new Set(insides.map((each) => each.engine));
  const isNew = engines.size > 1 ? once() : () => true;
  for (const engine of engines) {
    if (engine.stored === undefined) continue;
    await inReading(serializer.orm.em.fork(), async (em) => {
      for await (const stored of engine.stored!(em)) {
        const jobs = stored.filter(isNew);
        for (const found of await look.at(jobs, em)) tell(found, engine);
        progress?.(`${(count += jobs.length)} jobs`);
      }
    });
  }
  progress?.('');
}

/** Tells a job of a store that several engines are on from one that another of them has told of. */
function once(): (job: StoredJob) => boolean {
  const met = new Set<string>();
  return ({ store, queue, id, state }) => {
    if (store === undefined) return true;
    const { size } = met;
    return met.add(JSON.stringify([store, queue, id, state === 'scheduled'])).size > size;
  };
}

/** No jobs are in other databases than PostgreSQL, and their transactions need not take what it does. */
async function inReading(em: EntityManager, read: (em: EntityManager) => Promise<void>): Promise<void> {
  if (!isPostgres(em.getPlatform())) return read(em);
  await em.transactional(read, { readOnly: true, isolationLevel: IsolationLevel.REPEATABLE_READ });
}

class Counting {
  jobs = 0;
  readonly #sample: number;
  readonly #tasks = new Map<string, TaskCount>();
  readonly #problems = new Map<string, ProblemCount>();

  constructor(sample: number) {
    this.#sample = sample;
  }

  add({ job, task, problem }: Found): void {
    this.jobs++;
    const { queue } = job;
    const own = memo(this.#tasks, JSON.stringify([queue, task]), () => ({
      task,
      queue,
      jobs: { waiting: 0, delayed: 0, active: 0, failed: 0, scheduled: 0 },
    }));
    own.jobs[job.state]++;
    if (problem === undefined) return;
    const { kind, message } = problem;
    const count = memo(this.#problems, JSON.stringify([queue, task, kind]), () => ({
      task,
      queue,
      problem: kind,
      count: 0,
      samples: [],
    }));
    count.count++;
    if (count.samples.length < this.#sample) count.samples.push({ id: job.id, state: job.state, message });
  }

  result(): Audit {
    const problems = [...this.#problems.values()].toSorted((a, b) => b.count - a.count);
    return { jobs: this.jobs, tasks: [...this.#tasks.values()], problems };
  }
}

function memo<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
