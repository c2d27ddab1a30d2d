import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Cached, EntityCache } from 'mikro-orm-byref/cache';
import { Product } from './entities.ts';

@Injectable()
export class ShopWindow {
  constructor(
    readonly em: EntityManager, // @Cached finds both
    readonly cache: EntityCache,
  ) {}

  /** Kept for an hour, or until a product changes. */
  @Cached({ ttlMs: 3_600_000, dependsOn: [Product] })
  async show() {
    return { products: await this.em.find(Product, {}, { orderBy: { id: 'asc' } }), madeAt: new Date() };
  }
}
