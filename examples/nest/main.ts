import 'reflect-metadata';
import { MikroORM } from '@mikro-orm/postgresql';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.ts';
import { Board } from './board.ts';
import { Product } from './entities.ts';

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
app.enableShutdownHooks();
app.use(Board.PATH, app.get(Board).router());

const { schema, em } = app.get(MikroORM);
await schema.execute(await schema.getUpdateSchemaSQL({ safe: true })); // the tables; yours come from migrations
const setUp = em.fork();
setUp.create(Product, { name: 'Tea', cents: 490, stock: 100 });
setUp.create(Product, { name: 'Teapot', cents: 3_900, stock: 5 });
setUp.create(Product, { name: 'Coffee', cents: 790, stock: 50 });
await setUp.flush();

await app.listen(Number(process.env['PORT'] ?? 3_000), '127.0.0.1');
console.log(await app.getUrl());
