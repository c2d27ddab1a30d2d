import { onDriver } from './jest.driver.js';

/** On MariaDB, or on the MySQL that MYSQL_URL names. */
export default onDriver(process.env['MYSQL_URL'] ? 'mysql' : 'mariadb');
