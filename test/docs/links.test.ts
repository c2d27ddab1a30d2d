import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { anchorOf } from '../../docs/.vitepress/anchor.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const files = ['*.md', 'docs/**/*.md', 'examples/**/*.md'].flatMap((pattern) =>
  globSync(pattern, { cwd: root, exclude: ['docs/reference/api'] }),
);
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Without blocks of code, and without comments. */
const prose = (file: string): string => read(file).replaceAll(/^```.*?^```$|<!--.*?-->/gms, '');

/** The anchors of its headings. */
function anchorsOf(file: string): Set<string> {
  return new Set(Array.from(prose(file).matchAll(/^#+ (.*)$/gm), ([, heading]) => anchorOf(heading!)));
}

/** The links that lead nowhere, as `[from, to]`. */
function deadLinksOf(file: string): string[] {
  const links = Array.from(
    prose(file).matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$/gm),
    ([, inline, named]) => inline ?? named!,
  );
  return links.filter((link) => {
    if (/^\w+:/.test(link)) return false;
    const [path, anchor] = link.split('#') as [string, string?];
    const target =
      path === '' ? file : path.startsWith('/') ? `docs${path}.md` : relative(root, join(root, dirname(file), path));
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(target).has(anchor);
  });
}

test.each(files)('every link of %s leads somewhere', (file) => {
  expect(deadLinksOf(file)).toEqual([]);
});

test('the changelog is a page of the site, and links to pages of it', () => {
  const links = Array.from(prose('CHANGELOG.md').matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link!);
  expect(links.filter((link) => !/^(?:docs\/|https:)/.test(link))).toEqual([]);
});
