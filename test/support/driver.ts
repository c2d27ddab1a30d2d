import { type Server, wantOf } from './servers.ts';

export type DriverName = 'postgresql' | 'pglite' | 'sqlite' | 'mariadb' | 'mysql';

declare global {
  /** Set by the jest configuration of a driver. */
  var testDriver: DriverName | undefined;
}

export const driver: DriverName = globalThis.testDriver ?? 'postgresql';

export const onMysql = driver === 'mariadb' || driver === 'mysql';

/** What some tests need of a database. */
export type Capability =
  | 'connections'
  | 'processes'
  | 'rowLocks'
  | 'schemas'
  | 'strictColumns'
  | 'replicas'
  | 'exactNumbers'
  | 'uuidType'
  | 'streams'
  | 'signedKeys'
  | 'singles'
  | 'postgres'
  | 'postgresTypes'
  | 'abortedTransactions';

/** What some tests need of a database, or of the machine. */
export type Need = Capability | Server;

const ONE_CONNECTION = 'it has one connection: whoever asks beside an open transaction waits for its end';
const IN_MEMORY = 'its database is in the memory of this process';

const MYSQL: Partial<Record<Need, string>> = {
  postgres: 'this asks PostgreSQL itself',
  uuidType: 'a uuid is text to it',
  signedKeys: 'MikroORM has its integer keys be unsigned',
  singles: 'a float equals no number that is written out: such keys are refused',
  postgresTypes: 'it has no such type',
  abortedTransactions: 'a statement that fails does not abort its transaction',
};

/** What a driver does not have, and why. Nothing else of a suite that runs on it is left out. */
const LACKS: Record<DriverName, Partial<Record<Need, string>>> = {
  postgresql: {},
  pglite: {
    connections: ONE_CONNECTION,
    processes: IN_MEMORY,
    replicas: 'it is no server',
    streams: 'its driver has none',
  },
  sqlite: {
    connections: ONE_CONNECTION,
    processes: IN_MEMORY,
    replicas: 'it is no server',
    rowLocks: 'it locks whole databases: lockMode is E_UNSUPPORTED',
    schemas: 'its schemas are attached databases',
    strictColumns: 'its columns take values of any type',
    exactNumbers: 'it rounds decimals to doubles, and its driver integers: such keys are refused',
    uuidType: 'a uuid is text to it',
    abortedTransactions: 'a statement that fails does not abort its transaction',
  },
  mariadb: MYSQL,
  mysql: MYSQL,
};

/** Why something that needs this is not tested here. */
export function lack(needs: readonly Need[]): string | undefined {
  const missing = needs.find((need) => LACKS[driver][need] !== undefined);
  return missing === undefined ? wantOf(needs) : `not on ${driver}: ${LACKS[driver][missing]}`;
}

export const has = (...needs: Need[]): boolean => lack(needs) === undefined;
