import { types } from 'node:util';
import { isBuiltIn, type ValueType } from './value-type.ts';

/** `{"$date":"2026-11-21T04:00:00.000Z"}`; an invalid Date has no such form and is refused. */
export const date: ValueType<Date> = {
  tag: '$date',
  matches: (value) => types.isDate(value) && isBuiltIn(value, 2) && !Number.isNaN(value.getTime()),
  encode: (value) => value.toISOString(),
  decode: (body, walk) => readDate(body) ?? walk.malformed('an ISO 8601 date in UTC with milliseconds'),
};

/** The Date that `toISOString()` wrote, or undefined: other spellings of the same instant are not canonical. */
export function readDate(body: unknown): Date | undefined {
  if (typeof body !== 'string') return undefined;
  const value = new Date(body);
  return !Number.isNaN(value.getTime()) && value.toISOString() === body ? value : undefined;
}
