import { expect, test } from '@jest/globals';
import { ByReferenceError } from '../../src/errors.ts';
import { EntityToken } from '../../src/wire/token.ts';
import { errors } from '../support/errors.ts';

test.each(errors)('%s', (error, code, retryable, message) => {
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.code, error.retryable]).toEqual(['ByReferenceError', code, retryable]);
  expect(error.message).toMatch(message);
});

test('long lists of tokens are cut in the message, not in the facts', () => {
  const tokens = Array.from({ length: 7 }, (_, id) => new EntityToken('User', id));
  const error = ByReferenceError.entityNotFound(tokens, '$[0]', 1);
  expect(error.message).toContain('["User",4] and 2 more');
  expect(error.tokens).toHaveLength(7);
});

test('the cause is kept', () => {
  const cause = new TypeError('x');
  expect(ByReferenceError.malformed('y', { cause }).cause).toBe(cause);
  expect('cause' in ByReferenceError.malformed('y')).toBe(false);
});
