import { expect, test } from '@jest/globals';
import { isKnown, postgresKeyColumn, whyRefused } from '../../src/keys/postgres-key-column.ts';
import type { JsonValue } from '../../src/wire/json.ts';

const column = (type: string) => postgresKeyColumn({ columnTypes: [type], runtimeType: 'string' });

/** Keys that a stranger may send, and what reads them badly takes a square of their length for. */
const LONG: readonly (readonly [string, (length: number) => JsonValue])[] = [
  ['char(4)', (length) => `${' '.repeat(length)}x`],
  ['numeric', (length) => `1.${'0'.repeat(Math.min(length, 16_000))}1`],
  ['numeric', (length) => '0'.repeat(Math.min(length, 131_000))],
  ['varchar(4)', (length) => `${' '.repeat(length)}x`],
  ['text', (length) => ' '.repeat(length)],
  ['name', (length) => 'é'.repeat(length)],
  ['timetz', (length) => `10:20${' '.repeat(length)}+`],
  ['timetz', (length) => '+'.repeat(length)],
  ['inet', (length) => ':'.repeat(length)],
  ['cidr', (length) => `${'1.'.repeat(length)}/`],
  ['macaddr', (length) => 'a:'.repeat(length)],
  ['macaddr8', (length) => 'a'.repeat(length)],
  ['varbit(8)', (length) => `${'01'.repeat(length)}2`],
  ['uuid', (length) => '{'.repeat(length)],
  ['timestamp(6)', (length) => '2026-01-02T03:04:05.'.repeat(length / 20)],
  ['some_domain', (length) => ' '.repeat(length)],
];

test.each(LONG)('%s: a key is read and written in linear time (%#)', (type, make) => {
  const key = make(1_000_000);
  const before = process.cpuUsage();
  const { read, write, canonical } = column(type);
  if (read(key) !== undefined) canonical(key);
  write(key);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(1_000);
});

test('a name is cut between characters', () => {
  expect(column('name').write('é'.repeat(40))).toBe('é'.repeat(31));
  expect(column('name').write(`x${'é'.repeat(40)}`)).toBe(`x${'é'.repeat(31)}`);
});

test('what PostgreSQL refuses of a type does not reach it', () => {
  const refused: readonly (readonly [string, JsonValue])[] = [
    ...(['25:00', '10:60', '10:20:61', '24:00:00.1', '10', 'noon', ''] as const).map((time) => ['time', time] as const),
    ...(['10:20', '10:20+16', '10:20+02:60', '+02'] as const).map((time) => ['timetz', time] as const),
    ...(['10.0.0', '10.0.0.256', '10.0.0.1/33', '::1/129', 'fe80::1%eth0', '1.2.3.4/'] as const).map(
      (address) => ['inet', address] as const,
    ),
    ...(['10.0.0.1/8', 'fe80::1/10', '10'] as const).map((network) => ['cidr', network] as const),
    ...(['08:00:2b:01:02', '08:00-2b:01:02:03', '08.00.2b.01.02.03.', 'g8002b010203'] as const).map(
      (address) => ['macaddr', address] as const,
    ),
    ['macaddr8', '08:00:2b:01:02:03:04'],
    ['varbit(8)', '012'],
    ['varbit(8)', 'xg'],
    ['real', 1e39],
    ['real', 1e-50],
    ['oid', -1],
    ['oid', 2 ** 32],
    ['numeric', 'NaN'],
    ['numeric', '1e5'],
    ['timestamptz(6)', '2026-02-30T00:00:00.000001Z'],
    ['timestamptz(6)', '2026-01-02T03:04:05.678901'],
    ['timestamp(6)', '2026-01-02T03:04:05.678901Z'],
    ['some_domain', null],
    ['some_domain', 'a\0'],
  ];
  expect(refused.filter(([type, key]) => column(type).read(key) !== undefined)).toEqual([]);
});

test('a type is known by each of its names', () => {
  const known = [
    'character varying(4)',
    'timestamp (3) with time zone',
    'time without time zone',
    'bit varying(5)',
    'FLOAT(3)',
    'pg_catalog.int4',
    'text collate "C"',
    'numeric(10, 2)',
    'double  precision',
    '"char"',
  ];
  expect(known.filter((type) => !isKnown(type))).toEqual([]);
  const refused = ['interval day to second', 'int[]', 'int[3]', 'numeric(3,1)[]', 'int array', '_int4', 'INTERVAL(3)'];
  expect(refused.filter((type) => whyRefused(type) === undefined)).toEqual([]);
  const others = ['_status', 'some_array', 'intervals', 'hstore', 'public.citext', 'toString', '__proto__'];
  expect(others.filter((type) => isKnown(type))).toEqual([]);
});
