import { DriverException, ValidationError } from '@mikro-orm/core';
import { types } from 'node:util';

/** True for the errors of MikroORM and its drivers: their messages may quote rows. */
export const isOrmError = (error: Error): boolean =>
  error instanceof ValidationError || error instanceof DriverException || isDriverError(error);

/** What a driver throws where MikroORM does not translate it: of PostgreSQL, MySQL, SQLite. */
function isDriverError(error: Error & { severity?: unknown; code?: unknown; sqlMessage?: unknown }): boolean {
  const { severity, code, sqlMessage } = error;
  if (typeof sqlMessage === 'string') return true;
  return (
    typeof code === 'string' && (/^(?:ERR_)?SQLITE/.test(code) || (typeof severity === 'string' && code.length === 5))
  );
}

/** A query that the database did not answer, or refused: whether it is away, or broken, is not the asker's fault. */
export const isDatabaseFailure = (error: unknown): boolean =>
  error instanceof DriverException || (isError(error) && isDriverError(error));

/** An Error of whatever realm: those of native drivers are of the process's own, and tests often run in another. */
export const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value);

/** What may be repeated of an error that somebody else has thrown: of one that may quote rows no more than its kind. */
export function reasonOf(error: Error): string {
  return isOrmError(error) ? `MikroORM or the database refused: ${error.name}` : error.message;
}

/** The same for a warning: with the stack, which begins with the message. */
export function reportOf(error: unknown): string {
  if (!isError(error)) return String(error);
  return isOrmError(error) ? reasonOf(error) : (error.stack ?? error.message);
}
