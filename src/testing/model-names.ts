import type { EntitySerializer } from '../entity-serializer.ts';

/**
 * For a test of your own: fails unless the wire names of the serializer's models are exactly these, in any order.
 * Payloads that are queued now will name models so after the next deploy: a rename without an alias, or a bundler that
 * minifies class names, is found here instead of in the queue.
 *
 * ```ts
 * test('payloads keep their names', () => expectModelNames(serializer, ['Post', 'User']));
 * ```
 * @throws Error, which says what is missing and what is unexpected.
 */
export function expectModelNames(serializer: EntitySerializer, expected: readonly string[]): void {
  const actual = new Set(serializer.registry.names);
  const missing = expected.filter((name) => !actual.has(name));
  const unexpected = [...actual].filter((name) => !expected.includes(name));
  if (missing.length === 0 && unexpected.length === 0) return;
  throw new Error(
    `The model names have changed: ${list('missing', missing)}${list('unexpected', unexpected)}` +
      'keep old names with @ByReference({ name }) or @ByReference({ aliases }).',
  );
}

const list = (what: string, names: readonly string[]): string =>
  names.length === 0 ? '' : `${what} ${names.join(', ')}; `;
