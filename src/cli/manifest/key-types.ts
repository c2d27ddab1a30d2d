import type { Platform } from '@mikro-orm/core';
import { columnsOfType, type PrimaryKey } from '../../keys/primary-key.ts';
import type { JsonValue } from '../../wire/json.ts';

/** Values of all kinds of columns, the ends of their ranges among them: a column writes those that are its own. */
const VALUES: readonly unknown[] = [
  [0, -1, -(2 ** 15), 2 ** 15 - 1, -(2 ** 31), 2 ** 31 - 1, 2 ** 32 - 1, 0.5, 3e38, 1e-40, 1e300, 5e-324],
  [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n - 1n, 1n - 2n ** 53n],
  ['', 'any text, ž', '-12345678901234567890.5', '7', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['2026-01-02 03:04:05.123456', '2026-01-02 03:04:05.123456+02', '10:20:30.123456', '10:20:30.123456+02'],
  ['10.1.2.3/8', '10.0.0.0/8', '2001:db8::1', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '0101'],
  [true, false, Uint8Array.of(1, 255), new Date('2026-01-02T03:04:05.678Z'), new Date('2026-01-02T00:00:00Z')],
].flat();

/** A key of an earlier type, in wire form, that a part of a key does not read; undefined where it reads all of them. */
export function unreadKey(before: string, key: PrimaryKey, part: number, platform: Platform): JsonValue | undefined {
  const written = columnsOfType(before, platform).flatMap((column) => VALUES.map((value) => column.write(value)));
  return written.find((wire) => wire !== undefined && !key.readsPart(part, wire));
}
