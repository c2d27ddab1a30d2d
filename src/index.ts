/**
 * Entities as tokens `<model, primary key>`, and back as the current row: marking classes, serializing, signing, errors.
 *
 * @module mikro-orm-byref
 * @packageDocumentation
 */
export { afterCommit } from './transactions/after-commit.ts';
export { ByReference, ByReferenceEntity, ByReferenceMixin } from './models/by-reference.ts';
export { EntitySerializer } from './entity-serializer.ts';
export { ByReferenceError } from './errors.ts';
export { byValue } from './models/snapshot.ts';
export { EntityToken } from './wire/token.ts';
export type { AfterCommitOptions, CommitCallback } from './transactions/after-commit.ts';
export type { EntityReference, ReferenceMethods, ReferenceStatics } from './models/by-reference.ts';
export type { ByReferenceOptions } from './models/mark.ts';
export type { ErrorCode, ErrorFacts } from './errors.ts';
export type { PayloadReport } from './codec/inspect.ts';
export type { JsonArray, JsonObject, JsonValue } from './wire/json.ts';
export type { Model, ModelRegistry } from './models/model-registry.ts';
export type {
  DeserializeOptions,
  Drift,
  EntitySerializerOptions,
  LocateOptions,
  ReviveDefaults,
  ReviveReport,
  ReviveTrace,
  SerializeOptions,
  Signed,
  TokenOptions,
  VerifyOptions,
} from './options.ts';
export type { EntityClass, EntityOf, EntityType } from './orm/entity-class.ts';
export type { Limits } from './codec/limits.ts';
export type { MissingPolicy, PerModel } from './models/per-model.ts';
export type { Expiry, SigningKey, SignOptions } from './wire/signing.ts';
export type { Snapshot } from './models/snapshot.ts';
export type { KeyValue, TokenBody } from './wire/token.ts';
export type { Encoded, Referable, Revived, Serialized } from './types.ts';
export type { ValueClass, ValueCodec, ValueRegistry } from './models/value-registry.ts';
