import type { Check } from '../check.ts';
import { isListOf, isName } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { isSigning } from '../options.ts';
import { isJsonObject, type JsonObject } from '../wire/json.ts';

/** What jobs and their results are signed for, and which are taken. */
export type JobSigning =
  | false
  | {
      /** What jobs and results are signed for: 1 to 256 characters, `'jobs'`. */
      readonly purpose: string;
      /**
       * Queues whose jobs are taken besides those of the worker's own: the source of a dead letter queue. For pg-boss
       * also events whose jobs are taken; those that the worker's queue was subscribed to by the same instance are
       * anyway.
       * @defaultValue none
       */
      readonly queues?: readonly string[];
    };

export const aJobSigning: Check = [
  'false or { purpose, queues }',
  (value) =>
    value === false || (isSigning(value, 'queues') && isListOf(isName)((value as { queues?: unknown }).queues ?? [])),
];

/** Where a job is, as its engine has it. */
export interface Place {
  readonly queue: string;
  /** Of engines whose jobs have one; a job that was signed without is by the name of its queue. */
  readonly name?: string | undefined;
}

/** Which job a result is of. */
export interface JobId {
  readonly queue: string;
  readonly id: string;
}

/** The options that jobs are signed by. */
interface SealOptions {
  readonly signed?: JobSigning;
  readonly plain?: 'pass' | 'refuse';
  readonly encode?: boolean;
}

/**
 * What keeps a job the job that it was made as: what it is goes into its envelope, under the signature. Without one
 * that is demanded, everything passes as it is.
 */
export class Seal {
  readonly #serializer: EntitySerializer;
  readonly #signed: JobSigning;
  /** What happens to job data without an envelope. */
  readonly plain: 'pass' | 'refuse';

  /** Throws E_INVALID_OPTION for what would write or take jobs that are not signed. */
  constructor(serializer: EntitySerializer, options: SealOptions) {
    const { signed = serializer.signed, plain, encode } = options;
    this.#serializer = serializer;
    this.#signed = signed;
    this.plain = plain ?? (signed ? 'refuse' : 'pass');
    if (!signed) return;
    serializer.refuseWrongOptions({ signed: { purpose: signed.purpose } });
    refuse('plain', plain, 'pass');
    refuse('encode', encode, false);
  }

  get isOn(): boolean {
    return this.#signed !== false;
  }

  /** Undefined where nothing is signed. */
  get purpose(): string | undefined {
    return this.#signed === false ? undefined : this.#signed.purpose;
  }

  /** Signs an envelope as one of a kind: a job of a queue, a result of a job. */
  close(envelope: JsonObject, kind: string, facts: JsonObject): JsonObject {
    return this.#signed ? this.#serializer.seal({ ...envelope, [kind]: facts }, this.#signed.purpose) : envelope;
  }

  closeResult(envelope: JsonObject, job: JobId): JsonObject {
    return this.close(envelope, 'result', { ...job });
  }

  /**
   * The data of a job that is where it was sent to.
   * @throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT.
   */
  openJob(data: unknown, { queue, name }: Place, events: ReadonlySet<string> = new Set()): unknown {
    if (this.#signed === false) return data;
    const { queues = [] } = this.#signed;
    return this.open(data, 'job', (job) => {
      const own = job['queue'];
      if (own === undefined) return [...queues, ...events].includes(job['event'] as string);
      return [queue, ...queues].includes(own as string) && (job['name'] ?? own) === (name ?? own);
    });
  }

  /**
   * A result of the job that it is asked of.
   * @throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT.
   */
  openResult(result: unknown, isOf: (job: JobId) => boolean): unknown {
    return this.open(result, 'result', ({ queue, id }) => isOf({ queue: String(queue), id: String(id) }));
  }

  /**
   * What `close` has signed as one of a kind, and with facts that say it is ours; anything else where nothing is signed.
   * @throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT.
   */
  open(sealed: unknown, kind: string, isOurs: (facts: JsonObject) => boolean): unknown {
    if (this.#signed === false) return sealed;
    const opened = this.#serializer.unseal(sealed, this.#signed.purpose);
    const facts = opened[kind];
    if (isJsonObject(facts) && isOurs(facts)) return opened;
    throw ByReferenceError.badSignature(`it is that of another ${kind}, or of none`);
  }
}

function refuse(name: 'plain' | 'encode', value: unknown, refused: unknown): void {
  if (value !== refused) return;
  const expected = `left out where jobs are signed; or say signed: false`;
  throw ByReferenceError.invalidOption(`option ${name}`, expected, value);
}
