import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A module of fixtures/tc39, compiled by tsc: the tests themselves are compiled for the other kind of decorators. */
export async function importTc39<T>(name: string): Promise<T> {
  // In this package, whose name the modules import; a folder for each caller, because test files run side by side.
  mkdirSync(`${root}build`, { recursive: true });
  const outDir = mkdtempSync(`${root}build/tc39-`);
  try {
    const tsc = [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}fixtures/tc39`, '--outDir', outDir];
    execFileSync(process.execPath, tsc, { encoding: 'utf8' });
    return (await import(pathToFileURL(`${outDir}/${name}.js`).href)) as T;
  } finally {
    rmSync(outDir, { recursive: true });
  }
}
