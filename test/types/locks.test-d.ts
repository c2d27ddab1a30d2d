/** Compiled, never run: locks are typed from the key to the result, and pg and Verrou fit what is asked of them. */
import type { MikroORM } from '@mikro-orm/core';
import type { LockFactory, Verrou } from '@verrou/core';
import type { Client } from 'pg';
import {
  type Lock,
  type LockGrant,
  Locked,
  type Locks,
  postgresLocks,
  type Tried,
  verrouLocks,
} from 'mikro-orm-byref/locks';
import type { Post, User } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const locks: Locks;
declare const orm: MikroORM;
declare const user: User;
declare const client: Client;
declare const verrou: Verrou<{ memory: never }>;
declare const factory: LockFactory;

// From the work to its result.
{
  expectType<number>()(await locks.run(user, () => 1), true);
  expectType<string>()(
    await locks.run(['home', user], async (signal) => (signal.aborted ? 'a' : 'b'), { waitMs: 5 }),
    true,
  );
  await locks.run(user, (signal, lock) => {
    expectType<AbortSignal>()(signal, true);
    expectType<LockGrant>()(lock, true);
    expectType<bigint | undefined>()(lock.token, true);
  });
  expectType<bigint | undefined>()(locks.token, true);
  const tried = await locks.tryRun('key', async () => new Date());
  expectType<Tried<Date>>()(tried, true);
  if (tried.ran) expectType<Date>()(tried.result, true);
  expectType<Lock>()(await locks.acquire('key'), true);
  expectType<Lock | undefined>()(await locks.tryAcquire('key'), true);
  // @ts-expect-error no such option
  await locks.run(user, () => 1, { timeout: 5 });
}

// The peers fit.
{
  postgresLocks(orm, { connection: () => client });
  verrouLocks(verrou);
  verrouLocks(factory, { leaseMs: 5_000 });
  // @ts-expect-error no store of Verrou
  verrouLocks(client);
}

// A key is computed from the method's own arguments; a locked method returns a promise.
{
  class Reports {
    declare readonly locks: Locks;
    declare readonly title: string;

    @Locked()
    async plain(_user: User, _n?: number): Promise<void> {}

    @Locked({ key: (owner: User) => owner, waitMs: 5 })
    async firstOnly(_user: User, _n?: number): Promise<string> {
      return '';
    }

    @Locked({
      key(this: Reports, owner: User) {
        return [this.title, owner];
      },
      locks: (self: Reports) => self.locks,
    })
    async withThis(_user: User): Promise<void> {}

    @Locked({ key: (title: string) => title })
    async generic<T>(_title: string, work: () => Promise<T>): Promise<T> {
      return work();
    }

    // @ts-expect-error the method takes another type
    @Locked({ key: (post: Post) => post })
    async otherType(_user: User): Promise<void> {}

    // @ts-expect-error no promise is returned
    @Locked()
    notAsync(): number {
      return 1;
    }
  }
  expectType<Promise<string>>()(new Reports().firstOnly(user), true);
  expectType<Promise<Date>>()(
    new Reports().generic('a', async () => new Date()),
    true,
  );
  // @ts-expect-error no such option
  Locked({ waitSeconds: 5 });
}
