import config from '../../jest.config.js';
import { ABSENT_FILES } from './absent.ts';

const installed = '<rootDir>/test/mikro-orm-6/node_modules';

/** The suite with MikroORM 6 and the package as it is published, both from this folder's node_modules. */
export default {
  ...config,
  rootDir: '../..',
  testPathIgnorePatterns: ['/node_modules/', ...Object.keys(ABSENT_FILES).map((file) => `<rootDir>/${file}$`)],
  moduleNameMapper: {
    '^mikro-orm-byref$': `${installed}/mikro-orm-byref/dist/index.js`,
    '^mikro-orm-byref/([\\w-]+)$': `${installed}/mikro-orm-byref/dist/$1/index.js`,
    // The tests of single modules.
    '^(?:\\.\\./)+src/(.*)\\.ts$': `${installed}/mikro-orm-byref/dist/$1.js`,
    '^@mikro-orm/decorators/legacy$': `${installed}/@mikro-orm/core/index.js`,
    '^@mikro-orm/(\\w+)$': `${installed}/@mikro-orm/$1/index.js`,
  },
};
