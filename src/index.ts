export { afterCommit } from './after-commit.ts';
export { ByReference, ByReferenceEntity, ByReferenceMixin } from './by-reference.ts';
export { EntitySerializer } from './entity-serializer.ts';
export { ByReferenceError } from './errors.ts';
export { ModelRegistry } from './model-registry.ts';
export { byValue } from './snapshot.ts';
export { EntityToken } from './token.ts';
export { ValueRegistry } from './value-registry.ts';

export type { AfterCommitOptions, CommitCallback } from './after-commit.ts';
export type { ByReferenceOptions, EntityReference, ReferenceMethods, ReferenceStatics } from './by-reference.ts';
export type { ErrorCode, ErrorFacts } from './errors.ts';
export type { PayloadReport } from './inspect.ts';
export type { JsonArray, JsonObject, JsonValue } from './json.ts';
export type { Model } from './model-registry.ts';
export type {
  DeserializeOptions,
  Drift,
  EntityClass,
  EntitySerializerOptions,
  Limits,
  MissingPolicy,
  PerModel,
  ReviveDefaults,
  ReviveReport,
  SerializeOptions,
  TokenOptions,
  VerifyOptions,
} from './options.ts';
export type { Expiry, SigningKey, SignOptions } from './signing.ts';
export type { Snapshot } from './snapshot.ts';
export type { KeyValue, TokenBody } from './token.ts';
export type { Encoded, Revived, Serialized } from './types.ts';
export type { ValueClass, ValueCodec } from './value-registry.ts';
