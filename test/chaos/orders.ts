/** An order, and the effects of its jobs. */
import { EntitySchema } from '@mikro-orm/core';

export class Order {
  declare id: number;
  declare total: number;
}

/** One row for each time that a job of an order had its effect: no key keeps a second one out. */
export class Effect {
  declare id: number;
  declare orderId: number;
  /** Of which task it is. */
  declare task?: string;
}

export const entities = [
  new EntitySchema<Order>({
    class: Order,
    tableName: 'orders',
    properties: { id: { type: 'number', primary: true, autoincrement: false }, total: { type: 'number' } },
  }),
  new EntitySchema<Effect>({
    class: Effect,
    tableName: 'effects',
    properties: {
      id: { type: 'number', primary: true },
      orderId: { type: 'number' },
      task: { type: 'string', default: 'bill' },
    },
  }),
];
