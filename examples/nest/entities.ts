/** The same with decorators: entities.decorated.ts. `npm run shop -- --decorated` runs the shop with those. */
import { defineEntity, type InferEntity } from '@mikro-orm/postgresql';

export const Customer = defineEntity({
  name: 'Customer',
  properties: (p) => ({
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    email: p.string(),
    wantsMail: p.boolean().default(true),
  }),
});
export type Customer = InferEntity<typeof Customer>;

export const Product = defineEntity({
  name: 'Product',
  properties: (p) => ({
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    cents: p.integer(),
    stock: p.integer(),
  }),
});
export type Product = InferEntity<typeof Product>;

export const Order = defineEntity({
  name: 'Order',
  properties: (p) => ({
    id: p.integer().primary().autoincrement(),
    customer: () => p.manyToOne(Customer).ref(),
    product: () => p.manyToOne(Product).ref(),
    quantity: p.integer(),
    /** The job that packs it. */
    job: p.string().nullable(),
    parcel: p.string().nullable(),
  }),
});
export type Order = InferEntity<typeof Order>;

/** What a mail server would be given. */
export const Mail = defineEntity({
  name: 'Mail',
  properties: (p) => ({
    id: p.integer().primary().autoincrement(),
    to: p.string(),
    subject: p.string(),
    unsubscribe: p.text(),
  }),
});
export type Mail = InferEntity<typeof Mail>;
