/** The application as the release has it that is being deployed. */
import { EntitySchema } from '@mikro-orm/core';
import { Expose } from 'class-transformer';
import { ByReference } from 'mikro-orm-byref';
import { ByValue, defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import type { DefineTasks, Keys } from './program.ts';

/** It was User. */
export class Member {
  declare id: number;
  declare email: string;
}
ByReference({ name: 'Member', aliases: ['User'] })(Member);

export class Purchase {
  declare id: bigint;
}

export const entities = [
  new EntitySchema<Member>({
    class: Member,
    tableName: 'person',
    properties: { id: { type: 'number', primary: true }, email: { type: 'string' } },
  }),
  new EntitySchema<Purchase>({
    class: Purchase,
    tableName: 'purchase',
    // It was an int.
    properties: { id: { type: 'bigint', primary: true, autoincrement: false } },
  }),
];

class Money {
  declare cents: number;

  isOf(cents: number): boolean {
    return this.cents === cents;
  }
}
Expose()(Money.prototype, 'cents');
ByValue('Money')(Money);

export const values = [Money];

export const keys: Keys = ['the other secret of thirty-two bytes', 'the first secret of thirty-two bytes'];

class Mail {
  declare user: Member;
  declare n: number;
  declare language?: string;
}
defineDto(Mail, { user: ref(() => Member), n: field(), language: field({ optional: true }) });

export const defineTasks: DefineTasks = (tasks, signed, { did, settings }) => {
  const greet = tasks.define(
    'greet',
    async ({ user, n }: { user: Member; n: number }) => did('a renamed class', n, user.email),
    settings,
  );
  const sendReminder = async ({ user, n }: { user: Member; n: number }): Promise<void> =>
    did('a renamed task', n, user.email);
  tasks.define('reminder', sendReminder, settings);
  const remind = tasks.define('remind', sendReminder, settings);
  const mail = tasks.define('mail', async ({ user, n }: Mail) => did('a new property', n, user.email), {
    ...settings,
    as: Mail,
  });
  const ship = tasks.define(
    'ship',
    async ({ purchase, n }: { purchase: Purchase; n: number }) => did('a wider key', n, String(purchase.id)),
    settings,
  );
  const price = tasks.define(
    'price',
    async ({ n, price: given }: { n: number; price?: Money }) =>
      did('a new value object', n, given === undefined || given.isOf(n) ? 'priced' : 'misread'),
    settings,
  );
  const pay = signed.define('pay', async ({ n }: { n: number }) => did('a new signing key', n, 'paid'), {
    retries: settings.retries,
  });
  return {
    user: (em) => em.getReference(Member, 1),
    purchase: (em, id) => em.getReference(Purchase, BigInt(id)),
    producers: {
      'a new value object': ({ n }) => price.delay({ n, price: Object.assign(new Money(), { cents: n }) }),
      'a renamed class': ({ user, n }) => greet.delay({ user: user as Member, n }),
      'a renamed task': ({ user, n }) => remind.delay({ user: user as Member, n }),
      'a new property': ({ user, n }) => mail.delay({ user: user as Member, n, language: 'de' }),
      'a wider key': ({ purchase, n }, options) => ship.delay({ purchase: purchase as Purchase, n }, options),
      'a new signing key': ({ n }) => pay.delay({ n }),
    },
  };
};
