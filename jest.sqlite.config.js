import { onDriver } from './jest.driver.js';

export default onDriver('sqlite');
