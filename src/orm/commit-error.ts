/** How a transaction ended. Unknown: its COMMIT was sent, and nothing proves what became of it. */
export type End = 'committed' | 'rolled back' | 'unknown';

/**
 * What an error of COMMIT says about the end; undefined where the transaction is still open. Only the server's own
 * error proves a rollback: one of the connection, of a pooler on the way or of a server that goes down may have come
 * after the commit.
 */
export function endBy(error: unknown): Exclude<End, 'committed'> | undefined {
  const { name, code, severity, sqlState } = Object(error) as Readonly<Record<string, unknown>>;
  // SQLite: busy, or a deferred constraint. COMMIT may be sent again.
  if (typeof code === 'string' && /^(ERR_)?SQLITE_/.test(code)) return undefined;
  const isProof =
    // PostgreSQL's errors have a severity. A client's have not, and codes such as EPIPE that look like its own.
    severity === undefined ? PROOF_OF_MYSQL.test(String(sqlState)) : !NO_PROOF_OF_POSTGRES.test(String(code));
  // Kysely's, from 0.29.8 on, where PostgreSQL answers with ROLLBACK.
  return isProof || name === 'AbortedTransactionError' ? 'rolled back' : 'unknown';
}

/**
 * Whether the statement that failed with this has taken its transaction along, so that each statement after it is a
 * transaction of its own. So do MySQL and MariaDB with the one that a deadlock is resolved by, and MariaDB with one that
 * would lock a row which has changed since its snapshot (innodb_snapshot_isolation, the default of 11.8).
 */
export function hasRolledBack(error: unknown): boolean {
  const { code, sqlState } = Object(error) as Readonly<Record<string, unknown>>;
  return code === 'ER_CHECKREAD' || String(sqlState).startsWith('40');
}

/**
 * https://www.postgresql.org/docs/current/errcodes-appendix.html: connection exceptions, operator intervention, system
 * and internal errors, which poolers send too; and transaction_resolution_unknown, statement_completion_unknown.
 */
const NO_PROOF_OF_POSTGRES = /^(08|57P|58|XX|25P0[34]|40003)/;

/** Transaction rollback and integrity constraints; MySQL's other errors at COMMIT don't say. */
const PROOF_OF_MYSQL = /^(40|23)(?!003)/;
