import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { type Change, Task, Tasks } from 'mikro-orm-byref/tasks';
import { Product } from './entities.ts';

/** In memory, where a search engine would be: names of products by word. */
@Injectable()
export class SearchIndex implements OnApplicationBootstrap {
  private readonly names = new Map<number, string>();

  constructor(
    private readonly em: EntityManager,
    private readonly tasks: Tasks,
  ) {}

  async onApplicationBootstrap() {
    for (const product of await this.em.fork().find(Product, {})) this.names.set(product.id, product.name);
    this.tasks.onFlush([Product], this.tasks.of(SearchIndex).update);
  }

  /** After each committed change of a product. */
  @Task('index-product', { queue: 'shop', missing: 'null' })
  async update({ token, entity }: Change<Product>) {
    if (entity === null) this.names.delete(Number(token.primaryKey));
    else this.names.set(entity.id, entity.name);
  }

  /** Keys of products. */
  find(word: string): number[] {
    const matches = [...this.names].filter(([, name]) => name.toLowerCase().includes(word.toLowerCase()));
    return matches.map(([id]) => id);
  }
}
