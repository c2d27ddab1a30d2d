import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

class Greeting {
  @ByReference(() => User)
  user!: User;
}

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(domain);
});
afterAll(() => database.close());

test('a DTO is read by mikro-orm-byref/class-transformer, and an error says that nobody has imported it', async () => {
  const serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  const user = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  await em.persist(user).flush();
  const payload = serializer.serialize({ user });
  const greet = () => serializer.deserialize(payload, { as: Greeting, em: database.orm.em.fork() });

  expect(await failureOf(greet)).toMatchObject({
    code: 'E_INVALID_OPTION',
    message:
      'Invalid option as: expected mikro-orm-byref/class-transformer, which reads DTOs, to be imported, got Greeting.',
  });

  await import('mikro-orm-byref/class-transformer');
  const greeting = await greet();
  expect(greeting).toBeInstanceOf(Greeting);
  expect(greeting.user.email).toBe('ann@example.org');
});
