import { basename } from 'node:path';
import config from '../../jest.config.js';
import { notOnce } from '../../jest.once.js';

/** The tests with the package as it is published and with other versions of its peers, both from a folder's node_modules. */
export const withVersionsOf = (folder, absentFiles) => ({
  ...notOnce(config, ...Object.keys(absentFiles)),
  rootDir: '../../..',
  resolver: '<rootDir>/test/other-versions/jest-resolver.js',
  // The tests of single modules.
  moduleNameMapper: {
    '^(?:\\.\\./)+src/(.*)\\.ts$': `<rootDir>/test/other-versions/${basename(folder)}/node_modules/mikro-orm-byref/dist/$1.js`,
  },
});
