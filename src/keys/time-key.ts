import { types } from 'node:util';
import type { JsonValue } from '../wire/json.ts';
import { readKeyValue, writeKeyValue } from '../wire/token.ts';
import { filedAs, type KeyColumn, NONE, text, trimEnd } from './key-column.ts';

/** PostgreSQL counts time in microseconds; `precision` is how many decimals of a second a column keeps. */
const MICROSECONDS = 6;
const DAY = 86_400_000_000;

const TIME = /^(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/;

/** `10:20` and `10:20:00.0` are one time; 24:00 is another than 00:00. */
export const time = (precision = MICROSECONDS): KeyColumn =>
  text('a time like 10:20:30.5', normalTime, (value) => roundTime(value, precision));

const ZONED = /^(.*?) ?(?:(z|utc)|([+-])(\d{2}):?(\d{2})?(?::(\d{2}))?)$/i;

/** Equal only where the offset is, too. A time without one would have that of the session, which nobody here knows. */
export const zonedTime = (precision = MICROSECONDS): KeyColumn =>
  text('a time like 10:20:30.5+02', normalZonedTime, (value) => {
    const [, local] = ZONED.exec(value)!;
    return roundTime(local!, precision) + value.slice(local!.length);
  });

function microsecondsOf(value: string): number | undefined {
  const match = TIME.exec(value);
  if (match === null) return undefined;
  const [hours, minutes, seconds] = match.slice(1, 4).map((part) => Number(part ?? 0)) as [number, number, number];
  const fraction = Number((match[4] ?? '').padEnd(MICROSECONDS, '0'));
  const total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction;
  return minutes < 60 && seconds <= 60 && total <= DAY ? total : undefined;
}

function spelled(microseconds: number): string {
  const seconds = Math.floor(microseconds / 1_000_000);
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const fraction = trimEnd(String(microseconds % 1_000_000).padStart(MICROSECONDS, '0'), '0');
  return parts.map(twoDigits).join(':') + (fraction === '' ? '' : `.${fraction}`);
}

const twoDigits = (value: number): string => String(value).padStart(2, '0');

function normalTime(value: string): string | undefined {
  const microseconds = microsecondsOf(value);
  return microseconds === undefined ? undefined : spelled(microseconds);
}

function roundTime(value: string, precision: number): string {
  const unit = 10 ** (MICROSECONDS - precision);
  return spelled(Math.round(microsecondsOf(value)! / unit) * unit);
}

function normalZonedTime(value: string): string | undefined {
  const match = ZONED.exec(value);
  const local = match === null ? undefined : normalTime(match[1]!);
  if (local === undefined) return undefined;
  const [hours, minutes, seconds] = match!.slice(4).map((part) => Number(part ?? 0)) as [number, number, number];
  if (hours > 15 || minutes > 59 || seconds > 59) return undefined;
  const sign = match![3] === '-' && hours + minutes + seconds > 0 ? '-' : '+';
  const offset = [hours, ...(minutes + seconds > 0 ? [minutes] : []), ...(seconds > 0 ? [seconds] : [])];
  return `${local}${sign}${offset.map(twoDigits).join(':')}`;
}

/** Years that PostgreSQL reads back in the spelling JavaScript writes. */
const isCommonYear = (value: Date): boolean => value.getUTCFullYear() >= 1 && value.getUTCFullYear() <= 9999;

/** How MikroORM files a Date: by its text, which has no milliseconds. */
const dateAt = (clock: string): string => `[A-Z][a-z]{2} [A-Z][a-z]{2} \\d\\d \\d{4} ${clock}[^~]*`;
const DATE = dateAt('[\\d:]{8} GMT');

function instant(expected: string, isValid: (value: Date) => boolean, toDatabase: (value: Date) => unknown): KeyColumn {
  const read = (wire: JsonValue): unknown => {
    const value = readKeyValue(wire);
    return types.isDate(value) && isCommonYear(value) && isValid(value) ? toDatabase(value) : undefined;
  };
  return {
    expected,
    write(value) {
      const isDateLike = types.isDate(value) || typeof value === 'string' || typeof value === 'number';
      const wire = isDateLike ? writeKeyValue(new Date(value as Date | string | number)) : null;
      return read(wire) === undefined ? undefined : wire;
    },
    read,
    asRead: DATE,
    filedAs,
    canonical: (wire) => (wire as { $date: string }).$date,
  };
}

export const dateTime = instant(
  '{"$date":"…Z"} of the years 1 to 9999',
  () => true,
  (value) => value,
);

const MIDNIGHT = 'T00:00:00.000Z';

const midnight = instant(
  '{"$date":"…T00:00:00.000Z"} of the years 1 to 9999',
  (value) => value.toISOString().endsWith(MIDNIGHT),
  (value) => value.toISOString().slice(0, -MIDNIGHT.length),
);

/** A calendar day travels as its midnight in UTC; the database form is the day alone. Of a Date the column keeps the day. */
export const day: KeyColumn = {
  ...midnight,
  asRead: `(?:\\d{4}-\\d\\d-\\d\\d|${dateAt('00:00:00 GMT\\+0000')})`,
  write: (value) => midnight.write(types.isDate(value) ? new Date(value).setUTCHours(0, 0, 0, 0) : value),
};

/** PostgreSQL rounds away from this instant. */
const EPOCH = BigInt(Date.UTC(2000, 0)) * 1_000n;

const WRITTEN = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(z|[+-]\d{2}(?::?\d{2})?)?$/i;

/**
 * An instant as its column stores it. A Date has milliseconds; text, where MikroORM is told not to make a Date of it,
 * has microseconds, and then text is what travels.
 */
export function timestamp(isZoned: boolean, isDate: boolean, precision = MICROSECONDS): KeyColumn {
  const unit = 10n ** BigInt(MICROSECONDS - precision);
  const readFine = (wire: JsonValue): string | undefined =>
    typeof wire === 'string' && wireOf(microsecondsIn(wire, isZoned) ?? 0n, isZoned) === wire ? wire : undefined;
  const readDate = (wire: JsonValue): unknown => {
    const date = dateTime.read(wire);
    // MikroORM would write a Date as the time of its own zone.
    return isDate || isZoned || date === undefined ? date : (date as Date).toISOString().slice(0, -1);
  };
  return {
    expected: dateTime.expected,
    write(value) {
      // Written as text and read as a Date, it would be another.
      if (isDate && typeof value === 'string' && /\.\d{3}0*[1-9]/.test(value)) return undefined;
      if (!isDate && typeof value === 'string' && WRITTEN.test(value)) {
        const written = microsecondsIn(value, isZoned);
        // Without a zone it is of that of the session, which nobody here knows.
        return written === undefined ? undefined : wireOf(rounded(written, unit), isZoned);
      }
      const wire = dateTime.write(value);
      if (wire === undefined || unit <= 1_000n) return wire;
      return wireOf(rounded(BigInt(Date.parse(dateTime.canonical(wire) as string)) * 1_000n, unit), isZoned);
    },
    read: (wire) => readFine(wire) ?? readDate(wire),
    asRead: isDate ? DATE : NONE,
    // The column may have rounded it to the next second.
    filedAs: (wire) => [wire, ...(unit > 1_000n ? secondBefore(wire) : [])].flatMap(filedAs),
    canonical: (wire) => (typeof wire === 'string' ? wire : dateTime.canonical(wire)),
  };
}

function secondBefore(wire: JsonValue): JsonValue[] {
  const value = readKeyValue(wire);
  return types.isDate(value) ? [writeKeyValue(new Date(value.getTime() - 1_000))] : [];
}

function rounded(microseconds: bigint, unit: bigint): bigint {
  const past = microseconds - EPOCH;
  const distance = (((past < 0n ? -past : past) + unit / 2n) / unit) * unit;
  return EPOCH + (past < 0n ? -distance : distance);
}

function wireOf(microseconds: bigint, isZoned: boolean): JsonValue | undefined {
  const rest = ((microseconds % 1_000n) + 1_000n) % 1_000n;
  const date = new Date(Number((microseconds - rest) / 1_000n));
  const wire = dateTime.write(date);
  if (wire === undefined || rest === 0n) return wire;
  return `${date.toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}${isZoned ? 'Z' : ''}`;
}

function microsecondsIn(value: string, isZoned: boolean): bigint | undefined {
  const match = WRITTEN.exec(value);
  if (match === null) return undefined;
  const [, date, clock, fraction = '', zone] = match;
  if (isZoned && zone === undefined) return undefined;
  const offset = zone === undefined || !isZoned ? 'Z' : zone.toUpperCase().replace(/^([+-]\d\d)$/, '$1:00');
  const milliseconds = Date.parse(`${date}T${clock}${offset}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * 1_000n + BigInt(fraction.padEnd(MICROSECONDS, '0'));
}
