import { onDriver } from '../../../jest.driver.js';
import config from './jest.config.js';

export default onDriver(process.env['MYSQL_URL'] ? 'mysql' : 'mariadb', config);
