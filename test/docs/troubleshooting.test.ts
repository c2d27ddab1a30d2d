import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { errors } from '../support/errors.ts';
import { readme } from '../support/examples.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

const page = read('docs/operations/troubleshooting.md');
/** By its heading, what a section says. */
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.split('\n', 1)[0]!, section] as const),
);
const union = read('src/errors.ts').match(/export type ErrorCode =(.*?);/s)![1]!;
const codes = Array.from(union.matchAll(/'(E_\w+)'/g), ([, code]) => code!);

/** What a section answers. */
const retryOf = (code: string): string => /^\*\*A retry\*\* (.*)$/m.exec(sections.get(code) ?? '')?.[1] ?? '';

test('docstrings and pages name no code that there is not', () => {
  const files = globSync(['src/**/*.ts', 'docs/*.md', 'docs/*/*.md', 'README.md'], { cwd: fileURLToPath(root) });
  // What is quoted in code is compiled, or another package's.
  const named = files.flatMap((file) => read(file).match(/(?<!['\w])E_[A-Z]+(?:_[A-Z]+)*\b/g) ?? []);
  expect([...new Set(named)].filter((code) => !codes.includes(code))).toEqual([]);
});

test('each code has its section, once, and there is none for another', () => {
  const headings = Array.from(page.matchAll(/^## (E_\w+)$/gm), ([, code]) => code!);
  expect(headings.toSorted()).toEqual(codes.toSorted());
});

test.each(codes)('the section of %s says what happened, whether a retry helps, and what to do', (code) => {
  const parts = Array.from(sections.get(code)!.matchAll(/^\*\*([^*]+)\*\* \S/gm), ([, part]) => part);
  expect(parts).toEqual(['What happened:', 'A retry', 'What to do:']);
});

test('every wording has a code of the page, which says of a retry what the error does', () => {
  expect([...new Set(errors.map(([, code]) => code))].toSorted()).toEqual(codes.toSorted());
  for (const [error, code, retryable] of errors) {
    expect([code, retryOf(code)]).toEqual([
      code,
      expect.stringMatching(retryable ? /^(?:helps|depends)/ : /^(?:does not help|depends)/),
    ]);
    expect(error.help).toBe(`mikro-orm-byref/docs/operations/troubleshooting.md#${code.toLowerCase()}`);
  }
});

test('the table of the README has the same codes, and says the same of a retry', () => {
  const rows = Array.from(readme.matchAll(/^\| (E_\w+) +\|[^|]*\| *([^|]*?) *\|/gm), ([, code, retry]) => [
    code!,
    retry!,
  ]);
  for (const [code, retry] of rows) {
    const expected = retry === 'no' ? 'does not help' : retry === '**yes**' ? 'helps' : 'depends';
    expect([code, retryOf(code!).startsWith(expected)]).toEqual([code, true]);
  }
  if (rows.length > 0) expect(rows.map(([code]) => code!).toSorted()).toEqual(codes.toSorted());
});
