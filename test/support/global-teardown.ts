export default async function tearDown(): Promise<void> {
  for (const server of globalThis.testServers ?? []) await server.stop();
}
