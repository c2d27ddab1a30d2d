import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import { EntitySerializer } from 'mikro-orm-byref';
import { Task } from 'mikro-orm-byref/tasks';
import { Customer, Mail, Order } from './entities.ts';

const MONTH_MS = 30 * 86_400_000;

@Injectable()
export class Mails {
  constructor(
    private readonly em: EntityManager,
    private readonly serializer: EntitySerializer,
  ) {}

  /** To the customer's address of now, whatever it was when the order was placed. */
  @Task('mail-packed', { queue: 'shop' })
  async packed({ order }: { order: Order }) {
    const { customer } = await this.em.populate(order, ['customer']);
    await this.send(customer.$, `Parcel ${order.parcel} is on its way`);
  }

  /** Heard when the order has been committed, and again where it failed. */
  @OnEvent('order.placed', { suppressErrors: false })
  async placed({ order }: { order: Order }) {
    const { customer, product } = await this.em.populate(order, ['customer', 'product']);
    await this.send(customer.$, `We have your order: ${order.quantity} × ${product.$.name}`);
  }

  private async send(customer: Customer, subject: string) {
    if (!customer.wantsMail) return;
    const token = this.serializer.sign(customer, { purpose: 'unsubscribe', expiresInMs: MONTH_MS });
    this.em.create(Mail, { to: customer.email, subject, unsubscribe: `/unsubscribe/${token}` });
    await this.em.flush();
  }
}
