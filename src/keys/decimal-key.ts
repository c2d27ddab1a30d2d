import { type KeyColumn, text, trimEnd } from './key-column.ts';

/**
 * A decimal number that JavaScript holds as text or as a number; a column with a scale rounds to it.
 * https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-NUMERIC-DECIMAL
 */
export function decimal(
  expected = 'a decimal number as a string',
  isValid: (normal: string) => boolean = () => true,
  scale?: number,
): KeyColumn {
  const normal = (value: string): string | undefined => {
    const found = normalDecimal(value);
    return found !== undefined && isValid(found) ? found : undefined;
  };
  const column = text(expected, normal, (value) => (scale === undefined ? value : round(value, scale)));
  const toText = (value: unknown): unknown =>
    ['string', 'number', 'bigint'].includes(typeof value) ? writtenOut(String(value)) : value;
  return { ...column, write: (value) => column.write(toText(value)) };
}

const SPELLING = /^(-?)(\d{1,131072})(?:\.(\d{1,16383}))?$/;

/** The shortest spelling: no leading or trailing zeros, no negative zero. Undefined for what is no number. */
export function normalDecimal(value: string): string | undefined {
  const match = SPELLING.exec(value);
  if (match === null) return undefined;
  const [, sign, digits, fraction = ''] = match;
  const [whole, rest] = [trimStart(digits!), trimEnd(fraction, '0')];
  const number = `${whole === '' ? '0' : whole}${rest === '' ? '' : `.${rest}`}`;
  return number === '0' ? number : sign + number;
}

function trimStart(digits: string): string {
  let start = 0;
  while (digits[start] === '0') start++;
  return digits.slice(start);
}

const LOOSE = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,4}))?\s*$/i;

/** What PostgreSQL and JavaScript also take for a number: `+.5`, `5.`, `1e-7`. */
function writtenOut(value: string): string {
  if (SPELLING.test(value)) return value;
  const [, sign, whole = '', fraction = '', exponent = '0'] = LOOSE.exec(value) ?? [];
  if (whole + fraction === '') return value;
  const shift = Number(exponent);
  const padded = '0'.repeat(Math.max(0, -shift)) + whole + fraction + '0'.repeat(Math.max(0, shift));
  const point = whole.length + Math.max(0, shift);
  return `${sign === '-' ? sign : ''}0${padded.slice(0, point)}.${padded.slice(point)}0`;
}

/** Half away from zero, as PostgreSQL does. The scale may be negative: 1234 to -2 is 1200. */
function round(value: string, scale: number): string {
  const [, sign, whole, fraction = ''] = SPELLING.exec(value) ?? [];
  if (whole === undefined || fraction.length <= scale) return value;
  const digits = (whole + fraction).padStart(whole.length + fraction.length - Math.min(0, whole.length + scale), '0');
  const cut = digits.length - (fraction.length - scale);
  const kept = BigInt(digits.slice(0, cut) || '0') + (digits[cut]! >= '5' ? 1n : 0n);
  const result = scale >= 0 ? kept.toString().padStart(scale + 1, '0') : kept.toString() + '0'.repeat(-scale);
  return scale > 0 ? `${sign}${result.slice(0, -scale)}.${result.slice(-scale)}` : `${sign}${result}`;
}
