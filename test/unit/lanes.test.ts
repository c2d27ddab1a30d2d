import { expect, test } from '@jest/globals';
import { countOf, sumOf } from '../lanes/count.ts';

const output = `
PASS test/unit/a.test.ts
Tests:       2 passed, 2 total
\u001b[1mTests:       \u001b[22m\u001b[1m\u001b[31m1 failed\u001b[39m\u001b[22m, 3 skipped, 1 todo, 10 passed, 15 total
  Tests: 100 passed, 100 total
Left out for want of a server: 4 tests (python3 4)
Left out for want of a server: 0 tests
`;

test('the sums of all runs of Jest in a lane are added up', () => {
  expect(countOf(output, false)).toEqual({ passed: 12, failed: 1, leftOut: 4 });
});

test('a lane without Jest is one check', () => {
  expect([countOf('formatted', true), countOf('formatted', false)]).toEqual([
    { passed: 1, failed: 0, leftOut: 0 },
    { passed: 0, failed: 1, leftOut: 0 },
  ]);
});

test('a lane that fails beside its tests does not count as passed', () => {
  expect(countOf('Tests:       2 passed, 2 total\n', false)).toEqual({ passed: 2, failed: 1, leftOut: 0 });
});

test('lanes are summed up', () => {
  const [one, two] = [countOf(output, false), countOf('', true)];
  expect(sumOf([one, two])).toEqual({ passed: 13, failed: 1, leftOut: 4 });
});
