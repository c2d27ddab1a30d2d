import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { plot } from '../../bench/plot.ts';
import { markdownTable, replaceBlock } from '../../bench/tables.ts';
import { isWellFormed } from '../support/well-formed.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/reference/benchmarks.md');
const block = /<!-- bench -->\n\n(.*?)\n\n<!-- \/bench -->/s.exec(page)![1]!;
const drawn = read('docs/public/bench.svg');

test('the page has a block that the benchmark can write, with the plot', () => {
  expect(replaceBlock(page, 'bench', block)).toBe(page);
  expect(replaceBlock(page, 'bench', 'other')).toContain('<!-- bench -->\n\nother\n\n<!-- /bench -->');
  expect(block).toMatch(/^!\[.+\]\(\.\.\/public\/bench\.svg\)$/m);
});

test('table and plot are of the same ways and the same machine', () => {
  const ways = new Set(Array.from(block.matchAll(/^\| [\d,]* +\| (.+?) +\|.*(?:then|now) +\|/gm), ([, way]) => way!));
  expect(ways.size).toBe(6);
  for (const way of ways) expect(drawn).toContain(`>${way}</text>`);
  for (const [, line] of drawn.matchAll(/class="caption">(.*?)</g)) expect(block).toContain(line);
});

test.each(['', '<!-- a -->', '<!-- /a --><!-- a -->', '<!-- a --><!-- a --><!-- /a -->'])(
  'a page without one block is refused: %j',
  (bad) => {
    expect(() => replaceBlock(bad, 'a', '')).toThrow('Expected one <!-- a -->');
  },
);

test('tables are formatted', () => {
  const rows = [
    ['way', 'ms'],
    ['by reference', '1.5'],
  ];
  expect(markdownTable(rows).split('\n')).toEqual([
    '| way          |  ms |',
    '| ------------ | --: |',
    '| by reference | 1.5 |',
  ]);
});

describe('the plot', () => {
  const sample = () =>
    plot({
      title: 'a < b & c',
      xLabel: 'n',
      panels: [
        {
          title: 'ms',
          tick: String,
          series: [
            {
              name: '<way>',
              isDashed: true,
              points: [
                [1, 0.5],
                [1_000, 200],
              ],
            },
          ],
        },
      ],
      caption: ['caption'],
    });

  test('is well-formed', () => {
    expect([drawn, sample()].map(isWellFormed)).toEqual([true, true]);
    expect([sample().replace('</svg>', ''), sample().replace('&amp;', '&')].map(isWellFormed)).toEqual([false, false]);
  });

  test('is equal for equal data', () => {
    expect(sample()).toBe(sample());
  });

  test('has a tick for each power of ten, and marks where the values are', () => {
    const ticks = Array.from(sample().matchAll(/text-anchor="(end|middle)">(.*?)</g), ([, axis, text]) => [axis, text]);
    expect(ticks).toEqual([
      ...['0.1', '1', '10', '100', '1000'].map((text) => ['end', text]),
      ...['1', '10', '100', '1,000', 'n'].map((text) => ['middle', text]),
    ]);
    const marks = Array.from(sample().matchAll(/translate\((\S+) (\S+)\)/g), ([, x, y]) => [Number(x), Number(y)]);
    expect(marks[1]![0]).toBeLessThan(marks[2]![0]!);
    expect(marks[1]![1]).toBeGreaterThan(marks[2]![1]!);
  });
});
