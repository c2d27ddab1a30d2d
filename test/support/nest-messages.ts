import { type INestMicroservice, type ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, type ClientProxy, type TcpOptions, Transport } from '@nestjs/microservices';
import { EntitySerializer } from 'mikro-orm-byref';
import { messagesByReference, type MessageOptions, type MessagePairs } from 'mikro-orm-byref/microservices';
import { freePort } from '../../fixtures/free-port.ts';
import type { Need } from './driver.ts';
import { rootOf } from './nest.ts';

/** A transport, with the options that its two sides share. */
export interface TransportKind {
  readonly name: string;
  readonly needs: readonly Need[];
  open(): Promise<Side>;
}

interface Side {
  readonly transport: Transport.TCP | Transport.REDIS;
  readonly options: object;
}

export const transportKinds: readonly TransportKind[] = [
  {
    name: 'TCP',
    needs: [],
    open: async () => ({ transport: Transport.TCP, options: { host: '127.0.0.1', port: await freePort() } }),
  },
  {
    name: 'Redis',
    needs: ['redis-server'],
    async open() {
      const { hostname, port } = new URL(process.env['TEST_REDIS_URL']!);
      return { transport: Transport.REDIS, options: { host: hostname, port: Number(port) } };
    },
  },
];

const withPair = ({ transport, options }: Side, pair: object | undefined): TcpOptions =>
  ({ transport, options: { ...options, ...pair } }) as TcpOptions;

/** A server of the given parts, which has an EntitySerializer to inject; by reference where there are options. */
export async function serve(
  parts: ModuleMetadata,
  side: Side,
  options: MessageOptions | undefined,
): Promise<INestMicroservice> {
  const app = await NestFactory.createMicroservice(rootOf(parts), {
    inject: [EntitySerializer],
    useFactory: (serializer: EntitySerializer) =>
      withPair(side, options && messagesByReference(serializer, options).server),
    logger: false,
    abortOnError: false,
  } as never);
  await app.listen();
  return app;
}

export const clientOf = (side: Side, pair: MessagePairs['client'] | undefined): ClientProxy =>
  ClientProxyFactory.create(withPair(side, pair) as { transport: Transport.TCP });
