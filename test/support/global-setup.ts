import { startPostgres, type Server } from '../../fixtures/postgres.ts';

declare global {
  var postgresServer: Server | undefined;
}

/** One server for the whole run; each test file makes a database of its own on it. */
export default async function setUp(): Promise<void> {
  globalThis.postgresServer = await startPostgres();
  process.env['TEST_DATABASE_URL'] = globalThis.postgresServer.url;
}
