/** The application as the earlier release has it. */
import { EntitySchema } from '@mikro-orm/core';
import { defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import type { DefineTasks, Keys } from './program.ts';

export class User {
  declare id: number;
  declare email: string;
}

export class Purchase {
  declare id: number;
}

export const entities = [
  new EntitySchema<User>({
    class: User,
    tableName: 'person',
    properties: { id: { type: 'number', primary: true }, email: { type: 'string' } },
  }),
  new EntitySchema<Purchase>({
    class: Purchase,
    tableName: 'purchase',
    properties: { id: { type: 'number', columnType: 'int', primary: true, autoincrement: false } },
  }),
];

export const values = [];

export const keys: Keys = ['the first secret of thirty-two bytes'];

class Mail {
  declare user: User;
  declare n: number;
}
defineDto(Mail, { user: ref(() => User), n: field() });

export const defineTasks: DefineTasks = (tasks, signed, { did, settings }) => {
  const greet = tasks.define(
    'greet',
    async ({ user, n }: { user: User; n: number }) => did('a renamed class', n, user.email),
    settings,
  );
  const reminder = tasks.define(
    'reminder',
    async ({ user, n }: { user: User; n: number }) => did('a renamed task', n, user.email),
    settings,
  );
  const mail = tasks.define('mail', async ({ user, n }: Mail) => did('a new property', n, user.email), {
    ...settings,
    as: Mail,
  });
  const ship = tasks.define(
    'ship',
    async ({ purchase, n }: { purchase: Purchase; n: number }) => did('a wider key', n, String(purchase.id)),
    settings,
  );
  const price = tasks.define('price', async ({ n }: { n: number }) => did('a new value object', n, 'priced'), settings);
  const pay = signed.define('pay', async ({ n }: { n: number }) => did('a new signing key', n, 'paid'), {
    retries: settings.retries,
  });
  return {
    user: (em) => em.getReference(User, 1),
    purchase: (em, id) => em.getReference(Purchase, id),
    producers: {
      'a new value object': ({ n }) => price.delay({ n }),
      'a renamed class': ({ user, n }) => greet.delay({ user: user as User, n }),
      'a renamed task': ({ user, n }) => reminder.delay({ user: user as User, n }),
      'a new property': ({ user, n }) => mail.delay({ user: user as User, n }),
      'a wider key': ({ purchase, n }, options) => ship.delay({ purchase: purchase as Purchase, n }, options),
      'a new signing key': ({ n }) => pay.delay({ n }),
    },
  };
};
