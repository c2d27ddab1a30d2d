import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of a lane with other versions, which test/other-versions/run.ts starts. */
const versions = process.env['TEST_VERSIONS'];

/** The project whose node_modules have the MikroORM at hand; `mikro-orm-byref` is found from there, as it is published. */
export const consumerFolder = versions ?? dirname(fileURLToPath(new URL('../../package.json', import.meta.url)));

/** The built package. */
export const packageFolder = versions === undefined ? consumerFolder : join(versions, 'node_modules/mikro-orm-byref');

/** Gives a folder the modules of an application: those of the project, and the package by its name. */
export function installInto(folder: string): void {
  const [from, to] = [join(consumerFolder, 'node_modules'), join(folder, 'node_modules')];
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    if (name !== 'mikro-orm-byref') symlinkSync(join(from, name), join(to, name));
  }
  symlinkSync(packageFolder, join(to, 'mikro-orm-byref'));
}
