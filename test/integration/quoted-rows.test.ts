/** What MikroORM or a driver says may quote rows: no message of this library repeats it. */
import 'reflect-metadata';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Expose, Transform } from 'class-transformer';
import { afterCommit, EntitySerializer } from 'mikro-orm-byref';
import { ByValue } from 'mikro-orm-byref/class-transformer';
import { Client } from 'pg';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { describe as described } from '../../src/tasks/outcome.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';
import { warningsOf } from '../support/warnings.ts';

let database: TestOrm;
/** As they come from MikroORM, and from the driver below it. */
const quoting: Error[] = [];
const em = (): TestOrm['orm']['em'] => database.orm.em.fork() as never;

beforeAll(async () => {
  database = await openDatabase(domain);
  const runs = [
    () => em().findOneOrFail(User, { email: 'private@other.example' }),
    () => em().getConnection().execute('select * from private'),
    // A driver by itself.
    () => new DatabaseSync(':memory:').exec('select * from private'),
    ...(driver === 'postgresql' ? [inPostgres] : []),
  ];
  for (const run of runs) {
    const error = await errorOf(run);
    expect(error.message).toMatch(/private/);
    quoting.push(error);
  }
});
afterAll(() => database.close());

async function inPostgres(): Promise<unknown> {
  const client = new Client(database.url);
  await client.connect();
  return client.query(`select 'private'::int`).finally(() => client.end());
}

async function errorOf(run: () => unknown): Promise<Error> {
  try {
    await run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}

let thrown: Error;
const fail = (): never => {
  throw thrown;
};

class Codec {}
class Constructed {
  @Expose()
  a: unknown = fail();
}
class Transformed {
  @Transform(fail, { toClassOnly: true })
  @Expose()
  a: unknown = null;
}
@ByValue('Written')
class Written {
  @Transform(fail)
  @Expose()
  a: unknown = 1;
}

test('not of what a codec, a constructor, a transform or a callback has thrown', async () => {
  const serializer = new EntitySerializer(database.orm, { values: [Written] });
  serializer.values.register('Codec', Codec, { encode: fail, decode: fail });
  const decode = (data: object, options = {}): unknown =>
    serializer.decode({ $byref: 1, data } as never, { em: em(), ...options });
  const runs = [
    () => serializer.serialize(new Codec()),
    () => decode({ $value: ['Codec', 1] }),
    () => serializer.serialize(new Written()),
    () => decode({ $value: ['Written', { a: 1 }] }),
    () => decode({ a: 1 }, { as: Constructed }),
    () => decode({ a: 1 }, { as: Transformed }),
  ];
  for (thrown of quoting) {
    for (const run of runs) {
      const error = await failureOf(run);
      expect(error.message).toContain('MikroORM or the database refused');
      expect(JSON.stringify([error.message, error.stack, described(error), described(thrown)])).not.toMatch(/private/);
      // The cause is the program's to look at.
      expect([thrown, undefined]).toContain(error.cause);
    }
  }
  // What the application says itself is told.
  thrown = new Error('no such currency');
  for (const run of runs) expect((await failureOf(run)).message).toContain('no such currency');
});

test('nor in a warning', async () => {
  for (const error of quoting) {
    const warnings = await warningsOf(async () => {
      await em().transactional(async (own) => afterCommit(own as never, () => Promise.reject(error)));
      await new Promise(setImmediate);
    });
    expect(JSON.stringify(warnings)).toContain('MikroORM or the database refused');
    expect(JSON.stringify(warnings)).not.toMatch(/private/);
  }
});
