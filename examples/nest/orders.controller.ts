import { EntityManager } from '@mikro-orm/postgresql';
import { Body, Controller, Get, Param, ParseIntPipe, Post, Redirect } from '@nestjs/common';
import { EntitySerializer } from 'mikro-orm-byref';
import { SignedEntityPipe } from 'mikro-orm-byref/nestjs';
import { Tasks } from 'mikro-orm-byref/tasks';
import { Customer, Order } from './entities.ts';
import { html, page } from './html.ts';
import { Orders } from './orders.ts';
import { Packing } from './packing.ts';
import { TextPipe } from './text.pipe.ts';

const DAY_MS = 86_400_000;
const OrderOfLink = SignedEntityPipe(Order, { purpose: 'order' });
const CustomerOfLink = SignedEntityPipe(Customer, { purpose: 'unsubscribe' });

@Controller()
export class OrdersController {
  constructor(
    private readonly em: EntityManager,
    private readonly orders: Orders,
    private readonly serializer: EntitySerializer,
    private readonly tasks: Tasks,
  ) {}

  @Post('orders')
  @Redirect()
  async place(
    @Body('name', TextPipe) name: string,
    @Body('email', TextPipe) email: string,
    @Body('product', ParseIntPipe) productId: number,
    @Body('quantity', ParseIntPipe) quantity: number,
  ) {
    const order = await this.orders.place({ name, email, productId, quantity });
    return {
      url: `/orders/${this.serializer.sign(order, { purpose: 'order', expiresInMs: DAY_MS })}`,
      statusCode: 303,
    };
  }

  /** For whoever has the link. */
  @Get('orders/:token')
  async show(@Param('token', OrderOfLink) order: Order) {
    const { customer, product } = await this.em.populate(order, ['customer', 'product']);
    return page(
      `Order ${order.id}`,
      html`<p>${order.quantity} × ${product.$.name} for ${customer.$.name}</p>
        <p role="status">
          ${order.parcel ? `Packed: ${order.parcel}` : `Packing: ${await this.packing(order).state()}`}
        </p>
        <script>
          fetch(location.pathname + '/parcel').then(async (response) => {
            const text = response.ok ? 'Packed: ' + (await response.text()) : 'Look again later';
            document.querySelector('[role=status]').textContent = text;
          });
        </script>
        <form method="post">
          <label>Mails go to <input name="email" type="email" value="${customer.$.email}" required /></label>
          <button>Change</button>
        </form>`,
    );
  }

  /** Answers when the parcel is packed. */
  @Get('orders/:token/parcel')
  parcel(@Param('token', OrderOfLink) order: Order) {
    return this.packing(order).wait();
  }

  /** A mail that is still to come goes to the new address. */
  @Post('orders/:token')
  @Redirect()
  async changeAddress(
    @Param('token') token: string,
    @Param('token', OrderOfLink) order: Order,
    @Body('email', TextPipe) email: string,
  ) {
    const { customer } = await this.em.populate(order, ['customer']);
    customer.$.email = email;
    await this.em.flush();
    return { url: `/orders/${token}`, statusCode: 303 };
  }

  /** Some mail programs open links by themselves: it is the button that counts. */
  @Get('unsubscribe/:token')
  ask(@Param('token', CustomerOfLink) customer: Customer) {
    return page(
      'Unsubscribe',
      html`<form method="post">
        <p>No more mails to ${customer.email}?</p>
        <button>Yes</button>
      </form>`,
    );
  }

  @Post('unsubscribe/:token')
  async unsubscribe(@Param('token', CustomerOfLink) customer: Customer) {
    customer.wantsMail = false;
    await this.em.flush();
    return page('Unsubscribe', html`<p>${customer.email} gets no more mails.</p>`);
  }

  private packing(order: Order) {
    return this.tasks.of(Packing).pack.handle(order.job!);
  }
}
