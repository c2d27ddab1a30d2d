import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { escapesByBackslash } from '../orm/key-query.ts';
import { driverName, isMysql } from '../orm/platform.ts';

/** A memo: the drivers whose sessions have been asked. */
const asked = new WeakSet<object>();

/**
 * MikroORM writes values into the text of a query, for MySQL with backslashes before quotes. Where the session takes a
 * backslash for a character like others, text of a payload would be SQL: throws E_UNSUPPORTED. Asked once, and not
 * before there is a key that it matters for: usually there is nothing to wait for.
 */
export function requireEscaping(em: EntityManager, keys: readonly unknown[]): Promise<void> | undefined {
  if (!isMysql(em.getPlatform()) || asked.has(em.getDriver()) || !keys.flat().some(needsEscaping)) return undefined;
  return askForEscaping(em);
}

async function askForEscaping(em: EntityManager): Promise<void> {
  if (!(await escapesByBackslash(em))) {
    throw ByReferenceError.unsupported(
      `The sql_mode NO_BACKSLASH_ESCAPES on ${driverName(em)}`,
      'MikroORM escapes quotes with backslashes, and text of a payload would become SQL: take it out of sql_mode',
    );
  }
  asked.add(em.getDriver());
}

const needsEscaping = (value: unknown): boolean => typeof value === 'string' && /['\\]/.test(value);
