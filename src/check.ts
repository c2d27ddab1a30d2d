import { ByReferenceError, customClassOf } from './errors.ts';
import { isStorable } from './text.ts';

export type Check = readonly [expected: string, isValid: (value: unknown) => boolean];

export const oneOf = (...values: unknown[]): Check => [
  values.map((value) => JSON.stringify(value)).join(' or '),
  (value) => values.includes(value),
];

export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && isStorable(value);

export const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;

export const isFunction = (value: unknown): boolean => typeof value === 'function';

export const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isListOf =
  (isItem: (item: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(isItem);

export const aFunction: Check = ['a function', isFunction];

export const aCount: Check = ['a positive integer', isCount];

export const anObject: Check = ['an object', isObject];

export const aName: Check = ['a name', isName];

export const names: Check = ['an array of names', isListOf(isName)];

/** Refuses unknown names and bad values: a typo in an option must not switch a safeguard off. */
export function check(options: object, checks: Readonly<Record<string, Check>>, prefix: string): void {
  if (!isObject(options)) throw ByReferenceError.invalidOption('options', 'an object', options);
  for (const name of Object.keys(options)) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (!Object.hasOwn(checks, name)) {
      const known = Object.keys(checks).join(', ');
      // As an EntityManager that is no option itself.
      if (customClassOf(options) !== undefined)
        throw ByReferenceError.invalidOption('options', `an object of ${known}`, options);
      throw ByReferenceError.invalidOption(`${prefix}${name}`, `one of ${known}`, value);
    }
    const rule = checks[name]!;
    if (value !== undefined && !rule[1](value)) throw ByReferenceError.invalidOption(prefix + name, rule[0], value);
  }
}

export const hasMethod = (value: unknown, name: string): boolean =>
  isFunction((Object(value) as Readonly<Record<string, unknown>>)[name]);

/** Throws E_INVALID_OPTION for anything but an EntitySerializer, of whichever copy of this package. */
export function requireSerializer(value: unknown): void {
  if (!hasMethod(value, 'dedupeKey')) throw ByReferenceError.invalidOption('serializer', 'an EntitySerializer', value);
}

const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

export const whole: Check = ['a whole number', isWhole];

export const milliseconds: Check = ['milliseconds', isWhole];

/** Throws E_UNSUPPORTED where this package would fail later, at the first call that needs what Node 22 has brought. */
export function refuseOldNode(): void {
  const isNew = typeof Map.groupBy === 'function' && typeof Promise.withResolvers === 'function';
  if (!isNew) throw ByReferenceError.unsupported(`Node ${process.version}`, 'take Node 22.17 or a later one');
}
