import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMikroOrm6 } from '../../fixtures/majors.ts';

const folder = (path: string): string => dirname(fileURLToPath(new URL(`${path}/package.json`, import.meta.url)));

/** The project whose node_modules have the MikroORM at hand; `mikro-orm-byref` is found from there, as it is published. */
export const consumerFolder = folder(isMikroOrm6 ? '../mikro-orm-6' : '../..');

/** The built package. */
export const packageFolder = isMikroOrm6 ? folder('../mikro-orm-6/node_modules/mikro-orm-byref') : consumerFolder;
