import { withVersionsOf } from '../jest.js';
import { ABSENT_FILES } from './absent.ts';

export default withVersionsOf(import.meta.dirname, ABSENT_FILES);
