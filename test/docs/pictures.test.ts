import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { pictures } from '../../docs/pictures/pictures.ts';
import { isWellFormed } from '../support/well-formed.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');
const inside = (pattern: string): string[] =>
  globSync(pattern, { cwd: root, exclude: ['docs/reference/api', 'docs/.vitepress'] });

const images = ['README.md', ...inside('docs/**/*.md')].flatMap((page) =>
  Array.from(read(page).matchAll(/!\[([^\]]*)\]\(([^)]+)\)/g), ([, alt, path]) => ({ page, alt: alt!, path: path! })),
);

test('the pictures of the pages are those that are drawn', () => {
  const files = inside('docs/public/pictures/*.svg').map((path) => basename(path, '.svg'));
  expect(files.toSorted()).toEqual(Object.keys(pictures).toSorted());
  const shown = images.map(({ path }) => path).filter((path) => path.includes('/pictures/') && path.endsWith('.svg'));
  expect([...new Set(shown.map((path) => basename(path, '.svg')))].toSorted()).toEqual(files.toSorted());
});

describe.each(Object.entries(pictures))('%s', (name, drawn) => {
  test('is what npm run docs:pictures draws', () => {
    expect(read(`docs/public/pictures/${name}.svg`)).toBe(drawn);
  });

  test('is well-formed', () => {
    expect(isWellFormed(drawn)).toBe(true);
  });

  test('shows no code but that of a page which it is on', () => {
    const pages = images.filter(({ path }) => path.endsWith(`/${name}.svg`)).map(({ page }) => read(page));
    const code = Array.from(drawn.matchAll(/<tspan class="code">(.*?)<\/tspan>/g), ([, text]) =>
      text!.replaceAll('\u00A0', ' ').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&'),
    );
    const words = code.flatMap((text) => text.match(/[\w$]{3,}/g) ?? []);
    expect(words.length + Number(!drawn.includes('class="code"'))).toBeGreaterThan(0);
    for (const word of words) expect(pages.join('\n')).toContain(word);
  });
});

test('the engines to choose from are those of the table', () => {
  const table = /## Which engine\n.*?\n\| -.*?\n(.*?)\n\n/s.exec(read('docs/guides/jobs.md'))![1]!;
  const engines = Array.from(table.matchAll(/^\| (.+?) +\|/gm), ([, engine]) => engine!.replaceAll('`', ''));
  expect(engines).toHaveLength(5);
  for (const engine of engines) expect(pictures['which-engine']).toContain(`>${engine}<`);
});

test('every note of the terminal stands beside a line', () => {
  const beside = Array.from(pictures['inspected-job']!.matchAll(/y="(-?\d+)" class="note">← /g), ([, y]) => Number(y));
  const lines = new Set(Array.from(pictures['inspected-job']!.matchAll(/y="(-?\d+)"><tspan/g), ([, y]) => Number(y)));
  expect(beside.length).toBeGreaterThan(0);
  for (const y of beside) expect(lines).toContain(y);
});

test.each(images)('the text in place of $path on $page says what it shows', ({ alt }) => {
  expect(alt.length).toBeGreaterThan(30);
});
