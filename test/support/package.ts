import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of a lane with other versions, which test/other-versions/run.ts starts. */
const versions = process.env['TEST_VERSIONS'];

const repository = dirname(fileURLToPath(new URL('../../package.json', import.meta.url)));

/** The project whose node_modules have the MikroORM at hand; `mikro-orm-byref` is found from there, as it is published. */
export const consumerFolder = versions ?? repository;

/** The built package. */
export const packageFolder = versions === undefined ? consumerFolder : join(versions, 'node_modules/mikro-orm-byref');

/** Gives a folder the modules of an application: those of the project, others of the repository, and the package. */
export function installInto(folder: string): void {
  const to = join(folder, 'node_modules');
  mkdirSync(to);
  symlinkSync(packageFolder, join(to, 'mikro-orm-byref'));
  const linked = new Set(['mikro-orm-byref']);
  for (const from of [consumerFolder, repository].map((root) => join(root, 'node_modules'))) {
    for (const name of readdirSync(from).filter((each) => !linked.has(each))) {
      symlinkSync(join(from, name), join(to, name));
      linked.add(name);
    }
  }
}
