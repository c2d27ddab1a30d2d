import { randomUUID } from 'node:crypto';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';

/** The Redis of the run, where there is one. */
export const redisUrl = process.env['TEST_REDIS_URL'];

const connection = (): { host: string; port: number } => {
  const { hostname, port } = new URL(redisUrl!);
  return { host: hostname, port: Number(port) };
};

/** A first level that belongs to the caller. */
export const inMemory = (serialize = true) =>
  new BentoCache({ default: 'pages', stores: { pages: bentostore().useL1Layer(memoryDriver({ serialize })) } });

/** A first level over Redis, with a bus; processes that share the prefix share what is in it. */
export const overRedis = (prefix: string = randomUUID(), { level1 = true, bus = true } = {}) => {
  const store = bentostore({ prefix }).useL2Layer(redisDriver({ connection: connection() }));
  if (level1) store.useL1Layer(memoryDriver({}));
  if (bus) store.useBus(redisBusDriver({ connection: connection() }));
  // The bus is named after the store.
  return new BentoCache({ default: prefix, stores: { [prefix]: store } });
};
