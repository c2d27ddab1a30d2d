export { contractEntities, engineContract } from './engine-contract.ts';
export { expectModelNames } from './model-names.ts';

export type { ContractCase, EngineSetup } from './engine-contract.ts';
