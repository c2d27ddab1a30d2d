/** A process of one release, whose application is beside it as application.ts: does what its parent says. */
import type { EntityManager } from '@mikro-orm/core';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type DelayOptions, type JobHandle, Tasks } from 'mikro-orm-byref/tasks';
import { PgBoss } from 'pg-boss';

/** What the releases differ in. */
export interface Release {
  readonly entities: readonly object[];
  readonly values: readonly (new () => object)[];
  readonly keys: Keys;
  readonly defineTasks: DefineTasks;
}

/** The first signs, all verify. */
export type Keys = readonly [string, ...string[]];

export type Kind =
  | 'a renamed class'
  | 'a renamed task'
  | 'a new property'
  | 'a new value object'
  | 'a wider key'
  | 'a new signing key';

interface Sent {
  readonly user: object;
  readonly purchase: object;
  readonly n: number;
}

export type DefineTasks = (
  tasks: Tasks,
  signed: Tasks,
  given: {
    did(kind: Kind, n: number, said: string): Promise<void>;
    readonly settings: {
      readonly queue: string;
      readonly retries: { readonly limit: number; readonly delayMs: number; readonly backoff: boolean };
    };
  },
) => {
  user(em: EntityManager): object;
  purchase(em: EntityManager, id: number): object;
  readonly producers: {
    readonly [Of in Kind]: (sent: Sent, options?: DelayOptions) => Promise<JobHandle<unknown>>;
  };
};

/** What a parent asks for. */
export type Request =
  | { readonly does: 'work' | 'rest' | 'release' }
  /** Jobs of a kind, numbered from `n` on. */
  | { readonly does: 'produce'; readonly kinds: readonly Kind[]; readonly n: number; readonly count: number }
  /** A job about a purchase that waits once. Answered with its id. */
  | { readonly does: 'dedupe'; readonly purchase: number; readonly n: number }
  /** Takes the lock of a purchase. Answered with whether it was free. */
  | { readonly does: 'lock'; readonly purchase: number };

export async function open({ entities, values, keys, defineTasks }: Release, clientUrl: string) {
  const options = { entities, clientUrl } as Options;
  const { initSync } = MikroORM as { initSync?: (given: Options) => MikroORM };
  const orm = initSync === undefined ? new MikroORM(options) : initSync.call(MikroORM, options);
  const boss = new PgBoss({ connectionString: clientUrl, supervise: false, schedule: false });
  boss.on('error', () => undefined);
  await boss.start();
  const serializer = new EntitySerializer(orm, { signingKeys: keys, values });
  const engine = pgBossEngine(boss, { pollingIntervalSeconds: 0.5 });
  const onError = (): void => undefined;
  const tasks = new Tasks(serializer, engine, { onError });
  const signed = new Tasks(serializer, engine, { onError, signed: { purpose: 'pay' } });
  const made = defineTasks(tasks, signed, {
    did: async (kind, n, said) => {
      await orm.em.getConnection().execute('insert into done (kind, n, said) values (?, ?, ?)', [kind, n, said]);
    },
    settings: { queue: 'work', retries: { limit: 1, delayMs: 0, backoff: false } },
  });
  return { orm, serializer, tasks: [tasks, signed], ...made };
}

async function serve(release: Release): Promise<void> {
  const { orm, serializer, tasks, producers, user, purchase } = await open(release, process.env['DATABASE_URL']!);
  const locks = new Locks(serializer, postgresLocks(orm));
  let held: { release(): Promise<void> } | undefined;
  const answer = async (request: Request): Promise<unknown> => {
    const em = orm.em.fork();
    switch (request.does) {
      case 'work':
        for (const each of tasks) await each.work();
        return 'working';
      case 'rest':
        for (const each of tasks) await each.stop();
        return 'resting';
      case 'produce':
        for (const kind of request.kinds) {
          for (let step = 0; step < request.count; step++)
            await producers[kind]({ user: user(em), purchase: purchase(em, 7), n: request.n + step });
        }
        return 'produced';
      case 'dedupe': {
        const about = purchase(em, request.purchase);
        const handle = await producers['a wider key'](
          { user: user(em), purchase: about, n: request.n },
          { dedupe: about },
        );
        return handle.id;
      }
      case 'lock':
        held = await locks.tryAcquire(purchase(em, request.purchase));
        return held !== undefined;
      case 'release':
        await held?.release();
        return 'released';
    }
  };
  process.on('disconnect', () => process.exit());
  process.on('message', (request: Request) => {
    void answer(request).then(
      (said) => process.send!({ said }),
      (error: unknown) => process.send!({ error: String(error) }),
    );
  });
  process.send!({ said: 'ready' });
}

// As the program, and not as a module of `byref.config.ts`.
if (process.send !== undefined) await serve((await import('./application.ts' as string)) as Release);
