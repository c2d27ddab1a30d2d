import { expect, test } from '@jest/globals';
import { ByReferenceError } from '../../src/errors.ts';
import { EntityToken } from '../../src/wire/token.ts';

const token = new EntityToken('User', 1);

/** Every code once, with what its message must say and whether a retry helps. */
const errors: readonly [ByReferenceError, string, boolean, RegExp][] = [
  [ByReferenceError.unpersisted('User', '$.a'), 'E_UNPERSISTED', false, /User at \$\.a has no row yet.*flush/],
  [ByReferenceError.removed('User', '$.a'), 'E_REMOVED', false, /User at \$\.a is removed.*pass the data/],
  [
    ByReferenceError.unserializable('A function', 'pass plain data', '$.a'),
    'E_UNSERIALIZABLE',
    false,
    /A function at \$\.a.*pass plain data/,
  ],
  [
    ByReferenceError.noEntity('A value that is no entity', 1),
    'E_UNSERIALIZABLE',
    false,
    /no entity.*pass an entity or a Ref/,
  ],
  [
    ByReferenceError.noEntity('A value that is no entity', Promise.resolve()),
    'E_UNSERIALIZABLE',
    false,
    /^A promise.*await it first/,
  ],
  [
    ByReferenceError.unversioned('User', 'load it first', '$.a'),
    'E_UNSERIALIZABLE',
    false,
    /User at \$\.a has no version.*'required'; load it first/,
  ],
  [
    ByReferenceError.unnamedModels(['Post', 'User']),
    'E_INVALID_OPTION',
    false,
    /requireNames.*none for Post, User; give each @ByReference\(\{ name \}\)/,
  ],
  [
    ByReferenceError.noEntityManager('to read with', 'pass one', new Error('x')),
    'E_INVALID_OPTION',
    false,
    /no EntityManager to read with.*global EntityManager.*; pass one/,
  ],
  [
    ByReferenceError.invalidOption('option em', 'an EntityManager', Promise.resolve()),
    'E_INVALID_OPTION',
    false,
    /got a promise, which is to be awaited/,
  ],
  [
    ByReferenceError.duplicateModel('User', 'A', 'B'),
    'E_DUPLICATE_MODEL',
    false,
    /"User" belongs to both A and B.*name/,
  ],
  [ByReferenceError.unknownModel('User', true, '$'), 'E_UNKNOWN_MODEL', true, /"User" at \$.*aliases/],
  [ByReferenceError.undeclaredModel('User', '$'), 'E_UNKNOWN_MODEL', false, /"User" at \$.*@ByReference/],
  [ByReferenceError.unknownValue('Money', true, '$'), 'E_UNKNOWN_VALUE', true, /"Money" at \$.*values\.register/],
  [
    ByReferenceError.modelNotAllowed('User', ['Post', 'Tag'], '$'),
    'E_MODEL_NOT_ALLOWED',
    false,
    /"User" at \$.*Post or Tag/,
  ],
  [ByReferenceError.schemaNotAllowed('t1', 'User', '$'), 'E_SCHEMA_NOT_ALLOWED', false, /"t1" of User at \$.*schemas/],
  [ByReferenceError.wrongTenant('t2', 't1', 'User', '$'), 'E_WRONG_TENANT', false, /User at \$.*"t2".*here is "t1"/],
  [ByReferenceError.noTenant('t2', 'User', '$'), 'E_NO_TENANT', false, /User at \$.*"t2".*no tenant here/],
  [ByReferenceError.missingTenant('User', '$'), 'E_MISSING_TENANT', false, /User at \$.*names none/],
  [
    ByReferenceError.sharedModel('User', 'a', 'b'),
    'E_DUPLICATE_MODEL',
    false,
    /"User" belongs to two ORMs, "a" and "b"/,
  ],
  [ByReferenceError.malformed('no JSON', { path: '$' }), 'E_MALFORMED', false, /at \$: no JSON/],
  [ByReferenceError.limit('levels', 3, 'depth', '$'), 'E_LIMIT', false, /at \$ has more than 3 levels.*limits\.depth/],
  [ByReferenceError.unsupportedVersion(2, 1), 'E_UNSUPPORTED_VERSION', true, /format 2.*up to 1.*retry/],
  [ByReferenceError.badSignature('no key'), 'E_BAD_SIGNATURE', false, /no key/],
  [ByReferenceError.expired(new Date(0)), 'E_EXPIRED', false, /expired at 1970-01-01T00:00:00\.000Z.*new one/],
  [
    ByReferenceError.entityNotFound([token], '$.a', 2),
    'E_ENTITY_NOT_FOUND',
    false,
    /\["User",1\] at \$\.a and 1 more places.*missing/,
  ],
  [ByReferenceError.notYetVisible([token], '$'), 'E_NOT_YET_VISIBLE', true, /\["User",1\] at \$.*retry/],
  [ByReferenceError.locked([token], 'retry later'), 'E_LOCKED', true, /\["User",1\].*retry later/],
  [
    ByReferenceError.notFree('["User",1]', 'is taken; wait'),
    'E_LOCKED',
    true,
    /The lock \["User",1\] is taken; wait\./,
  ],
  [ByReferenceError.lockLost('"nightly"', new Error('x')), 'E_LOCK_LOST', true, /"nightly" was lost.*check/],
  [ByReferenceError.drift([token], '$'), 'E_DRIFT', false, /\["User",1\] at \$.*drift/],
  [ByReferenceError.unflushed([token], '$'), 'E_UNFLUSHED', false, /\["User",1\] at \$.*flush/],
  [ByReferenceError.transactionMismatch(), 'E_TRANSACTION_MISMATCH', false, /two transactions.*\{ em \}/],
  [ByReferenceError.rolledBack(), 'E_ROLLED_BACK', true, /not enqueued.*rolled back.*again/],
  [ByReferenceError.commitUnknown(new Error('x')), 'E_COMMIT_UNKNOWN', true, /lost when COMMIT was sent.*look/],
  [ByReferenceError.unsupported('A schedule', 'take another'), 'E_UNSUPPORTED', false, /A schedule.*take another/],
  [
    ByReferenceError.invalidOption('option em', 'an EntityManager', {}),
    'E_INVALID_OPTION',
    false,
    /option em: expected an EntityManager, got an object/,
  ],
];

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
