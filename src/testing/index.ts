export { expectModelNames } from './model-names.ts';
