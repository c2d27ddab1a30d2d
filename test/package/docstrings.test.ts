import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { extract } from '../../api/extract.ts';

const folder = 'build/docstrings';

/** What `npm run check:package` would say of an entry point with these declarations. */
function faultsOf(name: string, declarations: string): readonly string[] {
  mkdirSync(fileURLToPath(new URL(`../../${folder}`, import.meta.url)), { recursive: true });
  const types = `${folder}/${name}.d.ts`;
  writeFileSync(fileURLToPath(new URL(`../../${types}`, import.meta.url)), declarations);
  return extract({ name, types }, { folder }).faults;
}

test('nothing is said of public members that all have a docstring', () => {
  const declarations = `
/** What a cache goes by. */
export interface CacheOptions {
  /**
   * Milliseconds that a value is kept.
   * @defaultValue 1,000
   */
  readonly ttlMs?: number;
}
`;
  expect(faultsOf('documented', declarations)).toEqual([]);
});

test.each([
  ['a function', 'export declare function add(): void;', 'Missing documentation for "add"'],
  [
    'a member',
    '/** What a user is. */\nexport interface User {\n  readonly id: number;\n}',
    'Missing documentation for "id"',
  ],
  [
    'an overload',
    '/** One way to call it. */\nexport declare function add(one: 1): void;\nexport declare function add(two: 2): void;',
    'Missing documentation for "add"',
  ],
  ['tags alone', '/** @throws E_X. */\nexport declare function add(): void;', 'Missing documentation for "add"'],
  [
    'an option without a default',
    '/** What a cache goes by. */\nexport interface CacheOptions {\n  /** Milliseconds that a value is kept. */\n  readonly ttlMs?: number;\n}',
    'CacheOptions.ttlMs has no @defaultValue',
  ],
  [
    'a link to nowhere',
    '/** As {@link Nobody} has it. */\nexport declare function add(): void;',
    'The @link reference could not be resolved',
  ],
  ['a tag that is none', '/** The current row.\n * @trows E_X. */\nexport declare function add(): void;', '@trows'],
])('the check of docstrings finds %s', (_, declarations, fault) => {
  expect(faultsOf('undocumented', declarations)).toEqual([expect.stringContaining(fault)]);
});
