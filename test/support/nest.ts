import { type AddressInfo, Server } from 'node:net';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { type DynamicModule, type INestApplication, Module, type ModuleMetadata, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { library } from '../../fixtures/library.ts';
import { connectLater } from '../../fixtures/majors.ts';

/** A root module of the given parts. */
export function rootOf(parts: ModuleMetadata): Type<object> {
  class Root {}
  Module(parts)(Root);
  return Root;
}

/** The application's ORM, on the database of the test. */
export const ormModule = (
  clientUrl: string,
  contextName?: string,
  entities: object[] = library,
): Promise<DynamicModule> =>
  MikroOrmModule.forRoot({
    driver: PostgreSqlDriver,
    clientUrl,
    entities: entities as typeof library,
    // An application that fails to start leaves nobody who could close it.
    ...connectLater,
    // With several ORMs @mikro-orm/nestjs leaves the middleware to `forMiddleware()`.
    ...(contextName !== undefined && { contextName, registerRequestContext: false }),
  }) as Promise<DynamicModule>;

/** A running application of the given parts; a failure to start is thrown. */
export async function start(parts: ModuleMetadata): Promise<INestApplication> {
  const app = await NestFactory.create(rootOf(parts), { logger: false, abortOnError: false });
  try {
    return await app.init();
  } catch (error) {
    await app.close();
    throw error;
  }
}

/** The URL of an application that listens on a port that was free. */
export async function listen(app: INestApplication): Promise<string> {
  await app.listen(0, '127.0.0.1');
  const server = app.getHttpServer() as Server;
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
