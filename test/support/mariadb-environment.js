import { TestEnvironment } from 'jest-environment-node';

/** Of suites that need a MariaDB, or MySQL, as a whole: where there is none, all of their tests are left out, and counted. */
export default class MariadbEnvironment extends TestEnvironment {
  async handleTestEvent({ name }, { rootDescribeBlock }) {
    if (name === 'run_start' && process.env['TEST_MARIADB_URL'] === undefined) leaveOut(rootDescribeBlock);
  }
}

function leaveOut(item) {
  item.mode = 'skip';
  if (item.type === 'test') item.name += ' (for want of mariadbd)';
  for (const child of item.children ?? []) leaveOut(child);
}
