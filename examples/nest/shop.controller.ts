import { EntityManager } from '@mikro-orm/postgresql';
import { Body, Controller, Get, Param, ParseIntPipe, Post, Query, Redirect } from '@nestjs/common';
import { EntityCache } from 'mikro-orm-byref/cache';
import { Mail, Product } from './entities.ts';
import { html, page } from './html.ts';
import { SearchIndex } from './search-index.ts';
import { ShopWindow } from './shop-window.ts';
import { TextPipe } from './text.pipe.ts';

const price = (cents: number) => `€ ${(cents / 100).toFixed(2)}`;

@Controller()
export class ShopController {
  constructor(
    private readonly em: EntityManager,
    private readonly cache: EntityCache,
    private readonly index: SearchIndex,
    private readonly window: ShopWindow,
  ) {}

  @Get()
  async shop(@Query('q') word?: string) {
    const { products, madeAt } = await this.window.show();
    const found = word ? this.index.find(word) : undefined;
    const shown = products.filter(({ id }) => found?.includes(id) ?? true);
    return page(
      'A small shop',
      html`<form>
          <label>Search <input name="q" value="${word}" /></label>
        </form>
        <table>
          <tr>
            <th>Product</th>
            <th>Price</th>
            <th>Left</th>
          </tr>
          ${shown.map(
            ({ id, name, cents, stock }) =>
              html`<tr>
                <td><a href="/products/${id}">${name}</a></td>
                <td>${price(cents)}</td>
                <td>${stock}</td>
              </tr>`,
          )}
        </table>
        <small>Made at ${madeAt.toISOString()}, and kept until a product changes.</small>
        <h2>Order</h2>
        <form method="post" action="/orders">
          <label
            >Product
            <select name="product">
              ${products.map(({ id, name }) => html`<option value="${id}">${name}</option>`)}
            </select>
          </label>
          <label>Quantity <input name="quantity" type="number" min="1" value="1" /></label>
          <label>Your name <input name="name" required /></label>
          <label>Your mail address <input name="email" type="email" required /></label>
          <button>Order</button>
        </form>`,
    );
  }

  @Get('products/:id')
  async product(@Param('id', ParseIntPipe) id: number) {
    const { name, cents } = await this.em.findOneOrFail(Product, id);
    return page(
      name,
      html`<p>${price(cents)}</p>
        <form method="post">
          <label>New name <input name="name" value="${name}" required /></label>
          <button>Rename</button>
        </form>`,
    );
  }

  /** The window and the index hear of it by themselves. */
  @Post('products/:id')
  @Redirect('/', 303)
  async rename(@Param('id', ParseIntPipe) id: number, @Body('name', TextPipe) name: string) {
    (await this.em.findOneOrFail(Product, id)).name = name;
    await this.em.flush();
  }

  @Get('mails')
  async mails() {
    const mails = await this.em.find(Mail, {}, { orderBy: { id: 'desc' }, limit: 20 });
    return page(
      'Mails',
      html`<table>
        <tr>
          <th>To</th>
          <th>Subject</th>
          <th></th>
        </tr>
        ${mails.map(
          ({ to, subject, unsubscribe }) =>
            html`<tr>
              <td>${to}</td>
              <td>${subject}</td>
              <td><a href="${unsubscribe}">unsubscribe</a></td>
            </tr>`,
        )}
      </table>`,
    );
  }

  @Get('cache')
  stats() {
    const { hits, misses } = this.cache.stats;
    return page(
      'Cache',
      html`<table>
        <tr>
          <th>Hits</th>
          <td>${hits}</td>
        </tr>
        <tr>
          <th>Misses</th>
          <td>${misses}</td>
        </tr>
      </table>`,
    );
  }
}
