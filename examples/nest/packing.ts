import { setTimeout as sleep } from 'node:timers/promises';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Task, Tasks } from 'mikro-orm-byref/tasks';
import type { Order } from './entities.ts';
import { Mails } from './mails.ts';

@Injectable()
export class Packing {
  constructor(
    private readonly em: EntityManager,
    private readonly tasks: Tasks,
  ) {}

  /** Takes two seconds, for which the customer waits at the order's page. */
  @Task('pack-order', { queue: 'shop' })
  async pack({ order }: { order: Order }) {
    await sleep(2_000);
    order.parcel = `P-${order.id}`;
    await this.em.flush();
    await this.tasks.of(Mails).packed.delay({ order });
    return order.parcel;
  }
}
