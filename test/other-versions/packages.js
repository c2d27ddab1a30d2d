import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The folder whose node_modules the tests run with, which `run.ts` names in the environment of all that it starts. */
export const folder = process.env.TEST_VERSIONS;
if (folder === undefined)
  throw new Error('TEST_VERSIONS names no folder: start this by `node test/other-versions/run.ts`');

const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const { ELSEWHERE = {} } = await import(pathToFileURL(join(folder, 'absent.ts')).href);
const PACKAGES = ['@mikro-orm', 'kysely', 'mikro-orm-byref', ...Object.keys(dependencies)];

/** The name of a module where the folder's node_modules must have it; undefined where the repository's are taken. */
export function nameThere(specifier) {
  const name = ELSEWHERE[specifier] ?? specifier;
  return PACKAGES.some((prefix) => name === prefix || name.startsWith(`${prefix}/`)) ? name : undefined;
}

/** Whether a file, given by its path or URL, is the repository's own and not of a package. */
export const isOwn = (file) => !file.includes('/node_modules/');
