import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Module, NotFoundException } from '@nestjs/common';
import { EventEmitterModule } from '@nestjs/event-emitter';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { bullmqEngine } from 'mikro-orm-byref/bullmq';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { OutboxMessage } from 'mikro-orm-byref/outbox';
import { Board } from './board.ts';
import { Customer, Mail, Order, Product } from './entities.ts';
import { Mails } from './mails.ts';
import { Orders } from './orders.ts';
import { OrdersController } from './orders.controller.ts';
import { Packing } from './packing.ts';
import { SearchIndex } from './search-index.ts';
import { databaseUrl, prefix, redis, signingKeys } from './settings.ts';
import { ShopController } from './shop.controller.ts';
import { ShopWindow } from './shop-window.ts';

const pages = new BentoCache({ default: 'pages', stores: { pages: bentostore().useL1Layer(memoryDriver({})) } });

@Module({
  imports: [
    MikroOrmModule.forRoot({
      driver: PostgreSqlDriver,
      clientUrl: databaseUrl,
      entities: [Customer, Product, Order, Mail, OutboxMessage],
      findOneOrFailHandler: () => new NotFoundException(),
    }),
    EventEmitterModule.forRoot(),
    ByReferenceModule.forRoot({
      serializer: { signingKeys },
      outbox: {}, // jobs and events are rows of the transaction until they are in Redis, and are lost by no crash
      engine: (_orm, outbox) => bullmqEngine({ connection: redis, queue: { prefix }, outbox }),
      work: true, // the jobs too are done by this process
      cache: pages,
      cacheOptions: { singleProcess: true }, // and so nobody else writes what it keeps
    }),
  ],
  controllers: [ShopController, OrdersController],
  providers: [Board, Mails, Orders, Packing, SearchIndex, ShopWindow],
})
export class AppModule {}
