import config from '../../jest.config.js';
import { notOnce } from '../../jest.once.js';
import { ABSENT_FILES } from './absent.ts';

/** The suite with MikroORM 6 and the package as it is published, both from this folder's node_modules. */
export default {
  ...notOnce(config, ...Object.keys(ABSENT_FILES)),
  rootDir: '../..',
  resolver: '<rootDir>/test/mikro-orm-6/jest-resolver.js',
  // The tests of single modules.
  moduleNameMapper: {
    '^(?:\\.\\./)+src/(.*)\\.ts$': '<rootDir>/test/mikro-orm-6/node_modules/mikro-orm-byref/dist/$1.js',
  },
};
