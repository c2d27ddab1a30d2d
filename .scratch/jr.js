import { isEnvelope } from '../envelope.js';
import { ByReferenceError } from '../errors.js';
import { isJsonObject } from '../json.js';
import { runInRequest } from '../orm.js';
/** Received jobs → outcomes. Each job, or batch, has an EntityManager and a request context of its own. */
export class JobRunner {
  #orm;
  #serializer;
  #options;
  constructor(orm, serializer, options) {
    this.#orm = orm;
    this.#serializer = serializer;
    this.#options = options;
  }
  /** Runs one call of the task's handler: for one job, or for a batch. */
  async run(task, jobs) {
    const call = new Call(task, jobs, this.#serializer, this.#options);
    const context = metadataOf(jobs[0].data)?.context;
    try {
      await runInRequest(this.#orm.em, async (em) => {
        const run = () => (task.transactional ? em.transactional((tx) => call.run(tx)) : call.run(em));
        try {
          await this.#options.run(context, em, run);
        } finally {
          em.clear();
        }
      });
    } catch (error) {
      call.fail(error);
    }
    return call.outcomes;
  }
}
/** One call of a handler, from the data of its jobs to their outcomes. */
class Call {
  #task;
  #jobs;
  #serializer;
  #options;
  #outcomes;
  constructor(task, jobs, serializer, options) {
    this.#task = task;
    this.#jobs = jobs;
    this.#serializer = serializer;
    this.#options = options;
    this.#outcomes = jobs.map(() => undefined);
  }
  /** The outcomes of a call that has run or failed. */
  get outcomes() {
    return this.#outcomes.map((outcome) => outcome ?? retry(new Error('The job was not run.')));
  }
  /** A failure of the handler or the database: whatever has no outcome of its own, or was rolled back, is tried again. */
  fail(error) {
    for (const [index, outcome] of this.#outcomes.entries()) {
      if (outcome === undefined || outcome.status === 'completed') this.#outcomes[index] = failed(error);
    }
  }
  async run(em) {
    const args = await this.#revive(em);
    const live = this.#jobs.flatMap((job, index) => (this.#outcomes[index] === undefined ? { job, index } : []));
    if (live.length === 0) return;
    const contexts = live.map(({ job }) => contextOf(this.#task.name, job, em));
    const results = await this.#task.handle(
      live.map(({ index }) => args[index]),
      contexts,
    );
    for (const [at, { job, index }] of live.entries()) {
      this.#outcomes[index] = await this.#complete(em, job, results[at]);
    }
  }
  async #revive(em) {
    const options = { ...this.#task.revive, signed: this.#options.signed ?? false, em };
    const isPlain = this.#jobs.map(({ data }) => this.#options.plain === 'pass' && !isEnvelope(data));
    const payloads = this.#jobs.flatMap(({ data }, index) => (isPlain[index] ? [] : [data]));
    const results = (await this.#serializer.decodeAll(payloads, options)).values();
    return this.#jobs.map((job, index) => {
      // Jobs of before this library reach the handler as they are.
      if (isPlain[index]) return structuredClone(job.data);
      const result = results.next().value;
      if (result.status === 'fulfilled') return result.value;
      this.#outcomes[index] = unreadable(job, result.reason, this.#task.retryMissingForMs);
      return undefined;
    });
  }
  async #complete(em, job, result) {
    const output = this.#serializer.encode(result);
    if (this.#task.transactional) await job.complete(em, output);
    return { status: 'completed', output };
  }
}
function contextOf(name, job, em) {
  const { id, attempt, enqueuedAt, signal } = job;
  return { id, name, attempt, enqueuedAt, em, signal };
}
/** What Tasks has put beside a job's data; undefined for jobs of other producers. */
export function metadataOf(data) {
  const task = isEnvelope(data) ? data['task'] : undefined;
  const isOurs = isJsonObject(task) && typeof task['name'] === 'string' && typeof task['enqueuedAt'] === 'string';
  return isOurs ? task : undefined;
}
/** What an unreadable payload means: a row may still appear, a deploy may still come; else no retry will help. */
export function unreadable(job, error, retryMissingForMs) {
  if (!(error instanceof ByReferenceError)) return retry(error);
  const mayAppear = error.code === 'E_ENTITY_NOT_FOUND' || error.code === 'E_NOT_YET_VISIBLE';
  const enqueuedAt = metadataOf(job.data)?.enqueuedAt ?? job.enqueuedAt;
  const ageMs = Date.now() - new Date(enqueuedAt).getTime();
  const isRetried = mayAppear ? ageMs < retryMissingForMs : error.retryable;
  return isRetried ? retry(error) : discard(error);
}
/** What a failure of the handler means; a result that can't be kept would only repeat the work. */
export function failed(error) {
  const isResult = error instanceof ByReferenceError && error.code === 'E_UNSERIALIZABLE';
  return isResult ? discard(error) : retry(error);
}
export const retry = (error) => ({ status: 'retry', error: describe(error) });
const discard = (error) => ({ status: 'discard', error: describe(error) });
/** The message of a database's error may quote the SQL with its values; its kind and code say enough. */
function describe(error) {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, stack = '' } = error;
  if (error instanceof ByReferenceError) {
    const tokens = error.tokens.map((token) => token.toJSON().$token);
    return { name, message, code: error.code, retryable: error.retryable, path: error.path ?? null, tokens };
  }
  const { code } = error;
  if ('sqlMessage' in error || (typeof code === 'string' && /^[0-9FHPX][0-9A-Z]{4}$/.test(code))) {
    return { name, message: `The database refused: ${name}`, code: String(code) };
  }
  return { name, message, stack };
}
