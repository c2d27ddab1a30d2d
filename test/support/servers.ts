import { spawnSync } from 'node:child_process';

/** What the tests need that is no npm package, and whether this machine has it. Nothing else may decide what is tested. */
const SERVERS = {
  // The global set-up has started it, or REDIS_URL names one.
  'redis-server': () => process.env['TEST_REDIS_URL'] !== undefined,
  // The same, or MYSQL_URL.
  mariadbd: () => process.env['TEST_MARIADB_URL'] !== undefined,
  python3: () => runs('python3'),
  psql: () => runs('psql'),
};

export type Server = keyof typeof SERVERS;

const runs = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

/** Why something that needs all of these is left out here. */
export function wantOf(needs: readonly string[]): string | undefined {
  const missing = needs.find((need) => need in SERVERS && !SERVERS[need as Server]());
  return missing === undefined ? undefined : `for want of ${missing}`;
}

/** The server for want of which a test was left out, by its full name. */
export const wantedBy = (testName: string): string | undefined => /\(for want of (\S+)\)/.exec(testName)?.[1];
