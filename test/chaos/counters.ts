/** A row for each process that counts its own commits. */
import { EntitySchema } from '@mikro-orm/core';

export class Counter {
  declare id: number;
  declare count: number;
}

export const counters = [
  new EntitySchema<Counter>({
    class: Counter,
    tableName: 'counters',
    properties: { id: { type: 'number', primary: true, autoincrement: false }, count: { type: 'number' } },
  }),
];
