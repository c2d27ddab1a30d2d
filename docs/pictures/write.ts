/** `npm run docs:pictures`: draws the pictures of the pages. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { pictures } from './pictures.ts';

const folder = new URL('../public/pictures/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [name, drawn] of Object.entries(pictures)) writeFileSync(new URL(`${name}.svg`, folder), drawn);
