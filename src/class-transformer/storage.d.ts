/** class-transformer 0.5.1 ships the types of its metadata storage, but not where its CommonJS build has it. */
declare module 'class-transformer/cjs/storage.js' {
  export { defaultMetadataStorage } from 'class-transformer/types/storage.js';
}
