import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from '@jest/globals';

/** The rooms of `src`, from what users import down to the ground. Imports run down, types included. */
const FLOORS = [
  ['nestjs', 'cli', 'testing'],
  ['pg-boss', 'bullmq', 'graphile-worker', 'microservices'],
  ['outbox'],
  ['tasks', 'locks', 'cache', 'http'],
  ['index.ts'],
  ['entity-serializer.ts'],
  ['reviving'],
  ['options.ts', 'types.ts'],
  ['codec'],
  ['class-transformer'],
  ['models'],
  ['keys'],
  ['transactions'],
  ['orm'],
  ['wire'],
  ['errors.ts', 'check.ts', 'once.ts', 'decorated-method.ts', 'notify.ts', 'text.ts', 'node.ts'],
];

/** An error names tokens; `import/no-cycle` has the same exception. */
const UPWARD = ['src/errors.ts → src/wire/token.ts'];

const src = join(import.meta.dirname, '../../src');
const rooms = new Set(FLOORS.flat());
const roomOf = (file: string): string => relative(src, file).split(/[\\/]/)[0]!;
const floorOf = (room: string): number => FLOORS.findIndex((floor) => floor.includes(room));

/** Every import of a file of `src`, as `[importer, imported]`. */
const imports = globSync('**/*.ts', { cwd: src }).flatMap((name) => {
  const file = join(src, name);
  const specifiers = readFileSync(file, 'utf8').matchAll(/(?:from |import\()\s*'(\.[^']+)'/g);
  return Array.from(specifiers, ([, specifier]) => [file, join(dirname(file), specifier!)] as const);
});

test('every file is in a room that the plan names', () => {
  const found = new Set(globSync('**/*.ts', { cwd: src }).map((name) => roomOf(join(src, name))));
  expect([...found].filter((room) => !rooms.has(room))).toEqual([]);
});

test('imports run down, and never from one room of a floor into another', () => {
  const wrong = imports.filter(([from, to]) => {
    const [room, target] = [roomOf(from), roomOf(to)];
    return room !== target && !room.endsWith('.ts')
      ? floorOf(room) >= floorOf(target)
      : floorOf(room) > floorOf(target);
  });
  const written = wrong.map((pair) =>
    pair.map((file) => `src/${relative(src, file).replaceAll('\\', '/')}`).join(' → '),
  );
  expect(written).toEqual(UPWARD);
});

test("MikroORM's private parts are touched in one room, whose files stay small", () => {
  const isPrivate = /\b__(?!proto__)[a-z]\w*|\bhelper\(\w|getUnitOfWork\(|getComparator\(|\bUtils\.[a-z]/;
  const touching = globSync('**/*.ts', { cwd: src }).filter((name) =>
    isPrivate.test(readFileSync(join(src, name), 'utf8')),
  );
  expect(touching.filter((name) => roomOf(join(src, name)) !== 'orm')).toEqual([]);
  const lines = globSync('orm/*.ts', { cwd: src }).map(
    (name) => readFileSync(join(src, name), 'utf8').trimEnd().split('\n').length,
  );
  expect(Math.max(...lines)).toBeLessThanOrEqual(200);
});
