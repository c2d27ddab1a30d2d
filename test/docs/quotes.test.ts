import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { pages } from '../support/examples.ts';

const root = new URL('../../', import.meta.url);
const QUOTE = /```typescript\n\/\/ (examples\/\S+)\n(.*?)```/gs;
const quotes = pages.flatMap((page) => Array.from(page.matchAll(QUOTE), ([, file, code]) => [file!, code!] as const));

test('pages quote the examples', () => {
  expect(quotes.map(([file]) => file)).toContain('examples/nest/orders.ts');
});

test.each(quotes)('what pages quote of %s is in it', (file, code) => {
  expect(readFileSync(new URL(file, root), 'utf8')).toContain(code);
});
