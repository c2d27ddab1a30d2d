import { EntityManager, LockMode } from '@mikro-orm/postgresql';
import { BadRequestException, Injectable } from '@nestjs/common';
import { EventEmitter2 } from '@nestjs/event-emitter';
import { CommittedEvents, type DefinedEvent } from 'mikro-orm-byref/nestjs';
import { Tasks } from 'mikro-orm-byref/tasks';
import { Customer, Order, Product } from './entities.ts';
import { Packing } from './packing.ts';

export interface OrderForm {
  readonly name: string;
  readonly email: string;
  readonly productId: number;
  readonly quantity: number;
}

@Injectable()
export class Orders {
  private readonly placed: DefinedEvent<{ order: Order }>;

  constructor(
    private readonly em: EntityManager,
    private readonly tasks: Tasks,
    events: CommittedEvents,
    emitter: EventEmitter2,
  ) {
    this.placed = events.define('order.placed', (event) => emitter.emitAsync('order.placed', event));
  }

  /** One transaction: the order, what is left of the product, the job that packs it, and who is told. */
  async place({ name, email, productId, quantity }: OrderForm): Promise<Order> {
    if (quantity < 1) throw new BadRequestException('At least one');
    return this.em.transactional(async (em) => {
      const customer = (await em.findOne(Customer, { email })) ?? em.create(Customer, { email, name });
      const product = await em.findOneOrFail(Product, productId, { lockMode: LockMode.PESSIMISTIC_WRITE });
      product.stock -= quantity;
      const order = em.create(Order, { customer, product, quantity });
      await em.flush(); // it has a key from here on
      const job = await this.tasks.of(Packing).pack.delay({ order }); // begun once this has committed
      order.job = job.id;
      await this.placed.publish({ order }); // and so it is with events
      if (product.stock < 0) throw new BadRequestException(`There is less of ${product.name}`); // and all of it is undone
      return order;
    });
  }
}
