import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type Site, startSite } from './site.ts';

/** The shop of examples/nest, in a database of its own. */
export interface Shop extends Site {
  /** Keeps an order from being packed, as soon as it is there, until what this resolves with is called. */
  holdOrder(id: number): Promise<() => Promise<void>>;
}

export async function startShop(
  env: { readonly DATABASE_URL: string } & NodeJS.ProcessEnv,
  args: readonly string[] = [],
) {
  const server = await connect(env.DATABASE_URL);
  const databases = async (): Promise<string[]> => {
    const sql = String.raw`select datname as name from pg_database where datname like 'byref\_shop\_%'`;
    return (await server.query<{ name: string }>(sql)).rows.map(({ name }) => name);
  };
  const others = new Set(await databases());
  const site = await startSite('nest/start.ts', env, args);
  const own = (await databases()).find((name) => !others.has(name));
  await server.end();
  const shop: Shop = {
    ...site,
    async holdOrder(id) {
      const client = await connect(Object.assign(new URL(env.DATABASE_URL), { pathname: own }).href);
      await client.query('begin');
      const row = () => client.query('select from "order" where id = $1 for no key update', [id]);
      while ((await row()).rowCount === 0) await sleep(10);
      return () => client.end();
    },
  };
  return shop;
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  return client;
}
