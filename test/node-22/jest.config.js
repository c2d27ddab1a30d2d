import config from '../../jest.config.js';
import { notOnce } from '../../jest.once.js';

export default { ...notOnce(config), rootDir: '../..' };
