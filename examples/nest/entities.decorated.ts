/** entities.ts with decorators. With MikroORM 6 all of them are of '@mikro-orm/postgresql'. */
import { Entity, ManyToOne, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
import type { Opt, Ref } from '@mikro-orm/postgresql';

@Entity()
export class Customer {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'string' })
  name!: string;

  @Property({ type: 'string' })
  email!: string;

  @Property({ type: 'boolean' })
  wantsMail: boolean & Opt = true;
}

@Entity()
export class Product {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'string' })
  name!: string;

  @Property({ type: 'integer' })
  cents!: number;

  @Property({ type: 'integer' })
  stock!: number;
}

@Entity()
export class Order {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @ManyToOne(() => Customer, { ref: true })
  customer!: Ref<Customer>;

  @ManyToOne(() => Product, { ref: true })
  product!: Ref<Product>;

  @Property({ type: 'integer' })
  quantity!: number;

  @Property({ type: 'string', nullable: true })
  job?: string | null;

  @Property({ type: 'string', nullable: true })
  parcel?: string | null;
}

@Entity()
export class Mail {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'string' })
  to!: string;

  @Property({ type: 'string' })
  subject!: string;

  @Property({ type: 'text' })
  unsubscribe!: string;
}
