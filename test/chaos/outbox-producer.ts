/** `node outbox-producer.ts <addresses as JSON>`: orders, a few transactions at once, every fifth rolled back, until it is killed. */
import { randomUUID } from 'node:crypto';
import { type Addresses, connect, OutboxOrder } from './outbox-system.ts';

// Outlives no parent.
process.on('disconnect', () => process.exit());
const { orm, outbox, bill } = connect(JSON.parse(process.argv[2]!) as Addresses);

async function produce(): Promise<never> {
  for (let count = 1; ; count++) {
    const transaction = orm.em.fork().transactional(async (em) => {
      const orders = Array.from({ length: 4 }, () => em.create(OutboxOrder, { id: randomUUID(), job: null }));
      await em.flush();
      for (const order of orders) {
        if (bill !== undefined) order.job = (await bill.delay({ order }, { em })).id;
        await outbox.add('order', { order }, { em, id: order.id });
      }
      if (count % 5 === 0) throw new Error('rolled back on purpose');
    });
    await transaction.catch((error: Error) => {
      if (error.message !== 'rolled back on purpose') throw error;
    });
  }
}

await Promise.all([produce(), produce(), produce()]);
