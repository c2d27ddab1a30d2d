import { setTimeout as sleep } from 'node:timers/promises';
import { type Check, check, milliseconds } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { Tasks } from '../tasks/tasks.ts';

/** How long the health of an application is waited for. */
export interface HealthOptions {
  /**
   * Milliseconds until what does not answer is down.
   * @defaultValue 1,000
   */
  readonly timeoutMs?: number;
}

type Status = 'up' | 'down';

/** What is up, and what is down, under a key: what `@nestjs/terminus` takes. */
export type Health<Key extends string> = Readonly<
  Record<Key, { readonly status: Status; readonly database: Status; readonly engine?: Status }>
>;

const HEALTH_CHECKS: Record<keyof HealthOptions, Check> = { timeoutMs: milliseconds };

/**
 * Whether an application can read rows and reach its jobs. With `@nestjs/terminus`:
 * `health.check([() => byReference.check()])`.
 */
export class ByReferenceHealth {
  readonly #serializer: EntitySerializer;
  readonly #tasks: Tasks | undefined;

  /** @internal */
  constructor(serializer: EntitySerializer, tasks: Tasks | undefined) {
    this.#serializer = serializer;
    this.#tasks = tasks;
  }

  /**
   * `{ byref: { status: 'up', database: 'up', engine: 'up' } }`: each database answers, and the engine does where this
   * process has tasks. Why something is down is not said.
   * @throws E_INVALID_OPTION.
   */
  async check<Key extends string = 'byref'>(key = 'byref' as Key, options: HealthOptions = {}): Promise<Health<Key>> {
    check(options, HEALTH_CHECKS, 'option ');
    const within = (looks: Promise<unknown>): Promise<Status> => isUp(looks, options.timeoutMs ?? 1_000);
    const asked = this.#serializer.orms.map((orm) => orm.em.getConnection().execute('select 1'));
    const [database, engine] = await Promise.all([
      within(Promise.all(asked)),
      this.#tasks === undefined ? undefined : within(this.#tasks.reach()),
    ]);
    const status = database === 'up' && engine !== 'down' ? 'up' : 'down';
    return { [key]: { status, database, ...(engine !== undefined && { engine }) } } as Health<Key>;
  }
}

async function isUp(looks: Promise<unknown>, timeoutMs: number): Promise<Status> {
  const over = new AbortController();
  const timeout = sleep(timeoutMs, 'down' as const, { signal: over.signal });
  timeout.catch(() => undefined);
  try {
    return await Promise.race([looks.then(() => 'up' as const), timeout]);
  } catch {
    return 'down';
  } finally {
    over.abort();
  }
}
