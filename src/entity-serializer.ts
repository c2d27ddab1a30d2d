import type { MikroORM } from '@mikro-orm/core';
import { refuseOldNode } from './check.ts';
import { type DtoReader, dtoReaderFor } from './class-transformer/dto-reader.ts';
import { applyDeclared } from './codec/declared-references.ts';
import { decode, type Decoded, decodePlain } from './codec/decode.ts';
import { encode, type EncodeHooks } from './codec/encode.ts';
import { type EncodeListener, WalkerHooks } from './codec/hooks.ts';
import { inspect, type PayloadReport } from './codec/inspect.ts';
import { DEFAULT_LIMITS, type Limits, resolveLimits } from './codec/limits.ts';
import { open, parse, refuseUnawaited, unseal } from './codec/open.ts';
import { EntitySlot } from './codec/slot.ts';
import { ByReferenceError } from './errors.ts';
import { judgeDatabase } from './models/databases.ts';
import type { ClassReviver } from './models/by-reference.ts';
import { ModelRegistry } from './models/model-registry.ts';
import { Declared } from './models/reference-property.ts';
import { Strangers } from './models/strangers.ts';
import { ValueRegistry } from './models/value-registry.ts';
import {
  checkDeserializeOptions,
  checkLocateOptions,
  checkPlainOptions,
  checkSerializeOptions,
  checkSerializerOptions,
  checkTokenOptions,
  checkVerifyOptions,
  type DeserializeOptions,
  type EntitySerializerOptions,
  type LocateOptions,
  type SerializeOptions,
  type TokenOptions,
  type VerifyOptions,
} from './options.ts';
import { requireNode } from './node.ts';
import { registerExtension } from './orm/context.ts';
import type { EntityOf, EntityType } from './orm/entity-class.ts';
import { isEntity } from './orm/entity.ts';
import { wrapperOf } from './orm/wrapper.ts';
import { checkOrms, EntityManagers } from './reviving/entity-managers.ts';
import { each, type Outcome, valueOf } from './reviving/outcomes.ts';
import { Resolver } from './reviving/resolve.ts';
import { revive } from './reviving/revive.ts';
import { type Call, settle, type Settings } from './reviving/settings.ts';
import { listenToCommits } from './transactions/after-commit.ts';
import type { Encoded, Revived, Serialized } from './types.ts';
import { identityText } from './wire/canonical-json.ts';
import { isEnvelope, readEnvelope, wrap } from './wire/envelope.ts';
import type { JsonObject, JsonValue } from './wire/json.ts';
import { Signer, type SignOptions } from './wire/signing.ts';
import { EntityToken, readTokenBody } from './wire/token.ts';
import { OMITTED } from './wire/values/value-type.ts';

requireNode();

/** `missing: 'null'` and the classes it applies to, as types. */
type NullFor<Only extends readonly EntityType[]> = DeserializeOptions<Only> & {
  readonly missing: 'null';
  readonly only: Only;
};

/** `missing` as a call says it where a row is demanded. */
type Demanded<Options> = Options & { readonly missing?: 'throw' };

/** A class that the payload is checked against, and that the value is an instance of. */
type AsDto<Dto extends object> = DeserializeOptions & { readonly as: new () => Dto };

/**
 * Values with entities in them → text or JSON with tokens in it, and back to the current rows.
 *
 * Build one at start: it checks the model names, and puts the listener of `afterCommit` in place. With several ORMs,
 * `new EntitySerializer([orm, billingOrm])`, a token is a row of the one that its model belongs to.
 */
export class EntitySerializer {
  /** The first of the ORMs: whose transactions jobs are enqueued in. */
  readonly orm: MikroORM;
  /** The ORMs whose rows travel, in the order in which they were given. */
  readonly orms: readonly MikroORM[];
  /** The models by their names on the wire: `serializer.registry.names` is `['Post', 'User']`. */
  readonly registry: ModelRegistry;
  /** The value objects that travel: `serializer.values.register('Money', Money, { encode, decode })`. */
  readonly values: ValueRegistry;
  readonly #hooks: WalkerHooks;
  readonly #signer: Signer;
  readonly #options: EntitySerializerOptions;
  readonly #limits: Required<Limits>;
  readonly #strangers = new Strangers();
  /** Of calls without options of their own. */
  #settled: Settings | undefined;

  /**
   * `new EntitySerializer(orm, { signingKeys: [process.env.SIGNING_KEY!] })`.
   * @throws E_DUPLICATE_MODEL, E_INVALID_OPTION; E_UNSUPPORTED in a Node that is too old, and on MongoDB.
   */
  constructor(orms: MikroORM | readonly MikroORM[], options: EntitySerializerOptions = {}) {
    refuseOldNode();
    checkSerializerOptions(options);
    this.orms = [orms].flat();
    checkOrms(this.orms);
    for (const own of this.orms) judgeDatabase(own);
    this.orm = this.orms[0]!;
    this.#options = options;
    this.#limits = resolveLimits(DEFAULT_LIMITS, options.limits);
    this.registry = new ModelRegistry(this.orms, options);
    this.registry.refuseUnknownNames(options);
    this.values = new ValueRegistry(options.values, { unknownIsRetryable: options.unknownModel === 'retryable' });
    this.#hooks = new WalkerHooks(this.registry, this.values);
    this.#signer = new Signer(options.signingKeys, options.clock);
    if (options.signed) this.#signer.requireKeys();
    const classReviver: ClassReviver = {
      reviveAs: async (token, cls, em) => this.#reviveToken(token, this.#settle({ em, only: [cls], missing: 'throw' })),
    };
    for (const orm of this.orms) {
      listenToCommits(orm);
      registerExtension(orm, classReviver);
    }
  }

  /**
   * JSON text that says the whole value, its entities as tokens: `{"$byref":1,"data":{"user":{"$entity":["User",1]}}}`.
   * @throws E_UNPERSISTED, E_REMOVED, E_UNSERIALIZABLE, E_UNKNOWN_MODEL, E_DUPLICATE_MODEL, E_LIMIT for what could not
   * come back; E_UNFLUSHED for a key that is changed and not flushed, and for any change where the options ask for it;
   * E_INVALID_OPTION.
   */
  serialize<T>(value: T, options: SerializeOptions = {}): Serialized<T> {
    const text = JSON.stringify(this.encode(value, options));
    const { length } = this.#limits;
    if (text.length > length) throw ByReferenceError.limit('characters', length, 'length');
    return text as Serialized<T>;
  }

  /**
   * The same as `serialize`, as a JSON value for engines that write the text themselves.
   * @throws as `serialize`.
   */
  encode<T>(value: T, options: SerializeOptions = {}): Encoded<T> {
    return this.encodeTelling(value, options);
  }

  /** @internal The same, with word of each entity on the way. */
  encodeTelling<T>(value: T, options: SerializeOptions, listener?: EncodeListener): Encoded<T> {
    checkSerializeOptions(options);
    const envelope = wrap(encode(value, this.#referring(options, listener), this.#limits), options.metadata);
    const { sign = this.signed && { purpose: this.signed.purpose, expiresAt: null } } = options;
    return (sign === false ? envelope : this.#signer.signEnvelope(envelope, sign)) as Encoded<T>;
  }

  /**
   * The value as an instance of a DTO, which it is checked against before any query:
   * `deserialize(text, { as: SendInvoice })`.
   * @throws E_MALFORMED for what the DTO does not declare; else as without `as`.
   */
  deserialize<Dto extends object>(payload: string, options: AsDto<Dto>): Promise<Dto>;
  /**
   * The same with null for rows of the classes in `only` that are gone, which the type says: `User | null`.
   * @throws as without it, but for E_ENTITY_NOT_FOUND.
   */
  deserialize<T, const Only extends readonly EntityType[]>(
    payload: Serialized<T>,
    options: NullFor<Only>,
  ): Promise<Revived<T, EntityOf<Only[number]>>>;
  /**
   * The value behind a payload: each entity managed by `em` and as its row is now, the same row the same object, one
   * query per model. `T` comes with the payload, or the receiver names it. A failure of the database passes through as
   * it is, and so does what `drift` and `authorize` throw.
   * @throws E_MALFORMED, E_LIMIT, E_UNSUPPORTED_VERSION, E_BAD_SIGNATURE, E_EXPIRED, E_UNKNOWN_MODEL,
   * E_DUPLICATE_MODEL, E_UNKNOWN_VALUE, E_MODEL_NOT_ALLOWED, E_SCHEMA_NOT_ALLOWED, E_WRONG_TENANT, E_NO_TENANT,
   * E_MISSING_TENANT, E_INVALID_OPTION, E_UNSUPPORTED before any query; E_ENTITY_NOT_FOUND, E_NOT_YET_VISIBLE,
   * E_LOCKED, E_DRIFT, E_UNFLUSHED; and E_MALFORMED for a key that the database refuses, or a value object whose
   * `decode` fails.
   */
  deserialize<T = unknown>(payload: Serialized<T>, options?: DeserializeOptions): Promise<Revived<T>>;
  async deserialize(payload: string, options: DeserializeOptions = {}): Promise<unknown> {
    const call = this.#settle(options);
    const { settings } = call;
    const dtos = settings.as && dtoReaderFor(settings.as);
    // Nobody else holds what is parsed here; a DTO looks at it once more after it was decoded.
    const decodeText = (text: string): Decoded =>
      this.#decode(parse(text, settings.limits), settings, dtos, settings.as === undefined);
    return single(await revive([payload], decodeText, call));
  }

  /**
   * The same as `deserialize` with `as`, from a JSON value.
   * @throws as `deserialize`.
   */
  decode<Dto extends object>(payload: JsonValue, options: AsDto<Dto>): Promise<Dto>;
  /**
   * The same as `deserialize` with `missing: 'null'` and `only`, from a JSON value.
   * @throws as `deserialize`.
   */
  decode<T, const Only extends readonly EntityType[]>(
    payload: Encoded<T>,
    options: NullFor<Only>,
  ): Promise<Revived<T, EntityOf<Only[number]>>>;
  /**
   * The same as `deserialize`, from a JSON value.
   * @throws as `deserialize`.
   */
  decode<T = unknown>(payload: Encoded<T> | JsonValue, options?: DeserializeOptions): Promise<Revived<T>>;
  async decode(payload: unknown, options: DeserializeOptions = {}): Promise<unknown> {
    return single(await this.decodeAll([payload as JsonValue], options));
  }

  /**
   * Several payloads at once, as a batch of jobs brings them: one query per model for all of them, and an outcome for
   * each, so that one that can't be read does not spoil the others: `{ status: 'fulfilled', value }` or
   * `{ status: 'rejected', reason }`. A failure of the database passes through as it is.
   * @throws E_INVALID_OPTION.
   */
  async decodeAll<T = unknown>(
    payloads: readonly (Encoded<T> | JsonValue)[],
    options: DeserializeOptions = {},
  ): Promise<PromiseSettledResult<Revived<T>>[]> {
    const call = this.#settle(options);
    const { settings } = call;
    const dtos = settings.as && dtoReaderFor(settings.as);
    const decodeJson = (payload: unknown): Decoded => this.#decode(payload, settings, dtos, false);
    return (await revive(payloads, decodeJson, call)) as PromiseSettledResult<Revived<T>>[];
  }

  /**
   * JSON that plain `JSON.stringify` made of values with entities: tokens of the classes in `only` become entities, all
   * else stays as it is. It believes every `{"$entity":…}` it meets, so it is for JSON that no stranger wrote.
   *
   * Warns, once a name, of tokens whose model nobody knows: they stay plain objects.
   * @throws as `deserialize`, and E_MALFORMED for an envelope, which is `decode`'s to read.
   */
  async revive<T = unknown>(
    json: unknown,
    options: Omit<DeserializeOptions, 'signed' | 'as'> & { readonly only: readonly EntityType[] },
  ): Promise<T> {
    checkPlainOptions(options);
    const call = this.#settle({ ...options, signed: false });
    const { admitted, limits } = call.settings;
    refuseUnawaited(json);
    if (isEnvelope(json)) throw ByReferenceError.malformed('this is an envelope; read it with decode()', { path: '$' });
    const isReference = (body: JsonValue): boolean => {
      const model = Array.isArray(body) && typeof body[0] === 'string' ? this.registry.find(body[0]) : undefined;
      if (model === undefined) this.#strangers.tell(body);
      return model !== undefined && admitted!.has(model);
    };
    const decodeJson = (plain: unknown): Decoded => decodePlain(plain, isReference, limits);
    return single(await revive([json], decodeJson, call)) as T;
  }

  /**
   * The token of an entity or a `Ref`: `serializer.token(user).toString()`.
   * @throws E_UNPERSISTED, E_REMOVED, E_UNFLUSHED, E_UNSERIALIZABLE, E_UNKNOWN_MODEL, E_DUPLICATE_MODEL,
   * E_INVALID_OPTION.
   */
  token(entity: object, options: TokenOptions = {}): EntityToken {
    checkTokenOptions(options);
    const wrapper = isEntity(entity) ? undefined : wrapperOf(entity);
    const target = wrapper?.kind === 'reference' ? wrapper.entity : entity;
    if (!isEntity(target)) throw ByReferenceError.noEntity('A value that is no entity', entity);
    const { $entity } = this.#referring(options).entity(target, () => '$') as { $entity: unknown };
    return EntityToken.fromBody($entity);
  }

  /**
   * The current row behind a token of one of the classes in `only`, which the text of a token (`token.toString()`)
   * needs: it can come from anybody.
   * @throws as `deserialize`.
   */
  locate<const Only extends readonly EntityType[]>(
    token: EntityToken | string,
    options: Demanded<LocateOptions<Only>> & { readonly only: Only },
  ): Promise<EntityOf<Only[number]>>;
  /**
   * The same with null for a row that is gone, where the call says `missing: 'null'` (or `'omit'`), whatever the
   * defaults of the model and the serializer.
   * @throws as `deserialize`, but for E_ENTITY_NOT_FOUND.
   */
  locate<const Only extends readonly EntityType[]>(
    token: EntityToken | string,
    options: LocateOptions<Only> & { readonly only: Only },
  ): Promise<EntityOf<Only[number]> | null>;
  /**
   * The current row behind a token: `await serializer.locate(token)`.
   * @throws as `deserialize`.
   */
  locate<T extends object = object>(token: EntityToken, options?: Demanded<LocateOptions>): Promise<T>;
  /**
   * The same with null for a row that is gone, where the call says `missing: 'null'` (or `'omit'`).
   * @throws as `deserialize`, but for E_ENTITY_NOT_FOUND.
   */
  locate<T extends object = object>(token: EntityToken, options?: LocateOptions): Promise<T | null>;
  async locate(token: EntityToken | string, options: LocateOptions = {}): Promise<object | null> {
    checkLocateOptions(options, typeof token === 'string');
    const slot = tokenSlot(token);
    const fill = (): unknown => (slot.value === OMITTED ? null : slot.value);
    return (await this.#locate([slot], fill, options)) as object | null;
  }

  /**
   * The current rows behind several tokens of the classes in `only`, in their order, one query per model; the same row
   * the same object. With `missing: 'omit'` nothing stands for one that is gone.
   * @throws as `deserialize`.
   */
  locateMany<const Only extends readonly EntityType[]>(
    tokens: readonly (EntityToken | string)[],
    options: LocateOptions<Only> & { readonly only: Only; readonly missing?: 'throw' | 'omit' },
  ): Promise<EntityOf<Only[number]>[]>;
  /**
   * The same with `missing: 'null'`: null stands for one that is gone.
   * @throws as `deserialize`, but for E_ENTITY_NOT_FOUND.
   */
  locateMany<const Only extends readonly EntityType[]>(
    tokens: readonly (EntityToken | string)[],
    options: LocateOptions<Only> & { readonly only: Only },
  ): Promise<(EntityOf<Only[number]> | null)[]>;
  /**
   * The current rows behind several tokens, in their order, one query per model; the same row the same object.
   * @throws as `deserialize`.
   */
  locateMany<T extends object = object>(
    tokens: readonly EntityToken[],
    options?: LocateOptions & { readonly missing?: 'throw' | 'omit' },
  ): Promise<T[]>;
  /**
   * The same with `missing: 'null'`: null stands for one that is gone.
   * @throws as `deserialize`, but for E_ENTITY_NOT_FOUND.
   */
  locateMany<T extends object = object>(tokens: readonly EntityToken[], options?: LocateOptions): Promise<(T | null)[]>;
  async locateMany(tokens: readonly (EntityToken | string)[], options: LocateOptions = {}): Promise<(object | null)[]> {
    if (!Array.isArray(tokens)) throw ByReferenceError.invalidOption('tokens', 'an array of tokens', tokens);
    checkLocateOptions(
      options,
      tokens.some((token) => typeof token === 'string'),
    );
    const slots = Array.from(tokens, tokenSlot);
    const fill = (): unknown => slots.map(({ value }) => value).filter((value) => value !== OMITTED);
    return (await this.#locate(slots, fill, options)) as (object | null)[];
  }

  /**
   * A token for places that strangers reach, as URL-safe text: `v1.mwpn72ao.WyJVc2VyIiwxMjNd.<43 characters>`. It says
   * what it is for and until when, and proves that it was made with one of `signingKeys`. It hides nothing.
   * @throws as `token`, and E_INVALID_OPTION.
   */
  sign(entity: object, options: SignOptions): string {
    return this.#signer.signToken(this.token(entity), options);
  }

  /**
   * The current row behind a signed token, of one of the classes in `only`.
   * @throws E_BAD_SIGNATURE for anything that was not signed for this purpose, and E_EXPIRED, before the database hears
   * of it; then as `deserialize`.
   */
  verify<const Only extends readonly EntityType[]>(
    text: string,
    options: VerifyOptions<Only> & { readonly only: Only },
  ): Promise<EntityOf<Only[number]>>;
  /**
   * The current row behind a signed token: `await serializer.verify(text, { purpose: 'unsubscribe' })`.
   * @throws E_BAD_SIGNATURE for anything that was not signed for this purpose, and E_EXPIRED, before the database hears
   * of it; then as `deserialize`.
   */
  verify<T extends object = object>(text: string, options: VerifyOptions): Promise<T>;
  async verify(text: string, options: VerifyOptions): Promise<object> {
    refuseUnawaited(text);
    checkVerifyOptions(options);
    const { purpose, ...others } = options ?? {};
    const call = this.#settle({ ...others, missing: 'throw' });
    return this.#reviveToken(this.#signer.verifyToken(text, purpose), call);
  }

  /** @internal What is demanded, and signed, where nothing narrower is said. */
  get signed(): false | { readonly purpose: string } {
    return this.#options.signed ?? false;
  }

  /** @internal Members of a transport's own, signed for a purpose. */
  seal(members: JsonObject, purpose: string): JsonObject {
    return this.#signer.signEnvelope(members, { purpose, expiresAt: null });
  }

  /** @internal What `seal` has signed, without the signature. Throws E_BAD_SIGNATURE, E_EXPIRED, E_LIMIT. */
  unseal(sealed: unknown, purpose: string): JsonObject {
    return unseal(sealed, this.#signer, { limits: this.#limits, purpose });
  }

  /**
   * @internal Whether payloads can be read, all but their rows: nothing is loaded. An outcome for each, with its tokens.
   */
  async checkAll(
    payloads: readonly unknown[],
    options: DeserializeOptions,
  ): Promise<PromiseSettledResult<readonly EntityToken[]>[]> {
    const call = this.#settle(options);
    const { settings } = call;
    const dtos = settings.as && dtoReaderFor(settings.as);
    const resolver = new Resolver(call);
    return each(payloads, (payload) => {
      const { slots } = this.#decode(payload, settings, dtos, false);
      resolver.resolve(slots);
      return slots.map(({ token }) => token);
    });
  }

  /** What a payload holds, without a database. Reports what is wrong with it and throws nothing. */
  inspect(payload: unknown): PayloadReport {
    return inspect(payload);
  }

  /**
   * Text that is equal for equal values and equal rows, whatever the order of keys and the state of the entities: for
   * deduplication, locks and caches. A row is the same by whichever class of its inheritance tree it is named, and a
   * token is its row; its key is the same as an int4 and, after a migration, as an int8. Sets and Maps are equal by what
   * they hold, in whatever order, and -0 is 0; 1n, which is no key, is not 1, and `{ a: undefined }` not `{}`.
   * @throws as `serialize`.
   */
  dedupeKey(value: unknown): string {
    return identityText(encode(value, this.#hooks.identifying(), this.#limits));
  }

  /**
   * A deep copy in which entities, references and collections stay the same objects.
   * @throws E_UNSERIALIZABLE, E_LIMIT.
   */
  clone<T>(value: T): T {
    const kept: object[] = [];
    const json = encode(value, this.#hooks.keeping(kept), this.#limits);
    const unlimited = { ...this.#limits, depth: Number.MAX_SAFE_INTEGER, nodes: Number.MAX_SAFE_INTEGER };
    const decoded = decode(json, this.#hooks.making(), unlimited);
    for (const slot of decoded.slots) slot.value = kept[Number(slot.key) - 1];
    return decoded.fill() as T;
  }

  /** @internal The value of a payload, with tokens where its entities were. */
  tokensOf(payload: JsonValue): unknown {
    const { slots, fill } = decode(readEnvelope(payload).data, this.#hooks.making(), this.#limits);
    for (const slot of slots) slot.value = slot.token;
    return fill();
  }

  /** @internal Throws E_INVALID_OPTION for options that every call would throw it for. */
  refuseWrongOptions(options: DeserializeOptions): void {
    this.#settle(options);
  }

  /** What all stages of a call go by. */
  #settle(options: DeserializeOptions): Call {
    checkDeserializeOptions(options);
    const names = Object.keys(options);
    const isPlain = names.length === 0 || (names.length === 1 && names[0] === 'em');
    const settings = isPlain ? (this.#settled ??= this.#merge({})) : this.#merge(options);
    if (settings.purpose !== undefined) this.#signer.requireKeys();
    return { settings, managers: new EntityManagers(this.orms, options.em) };
  }

  #merge(options: DeserializeOptions): Settings {
    return settle(options, this.#options, this.registry, this.#limits);
  }

  /** An envelope opened, walked, and held to what its classes declare. */
  #decode(payload: unknown, settings: Settings, dtos: DtoReader | undefined, takesOver: boolean): Decoded {
    const data = open(payload, this.#signer, settings);
    if (settings.as === undefined) return this.#walk(data, settings, takesOver);
    return dtos!.decodeAs(settings.as, settings.upgrades, (cls) =>
      this.#walk(data, settings, takesOver, (declared) => dtos!.checkDto(cls, data, declared, this.registry)),
    );
  }

  #walk(
    data: JsonValue,
    { as, admitted, limits }: Settings,
    takesOver: boolean,
    check?: (declared: Declared) => void,
  ): Decoded {
    const declared = new Declared();
    const walked = decode(data, this.#hooks.making(admitted, declared), limits, takesOver);
    check?.(declared);
    applyDeclared(walked, declared, this.registry, as !== undefined);
    return { slots: walked.slots, fill: walked.fill };
  }

  async #reviveToken(token: EntityToken, call: Call): Promise<object> {
    const slot = tokenSlot(token);
    return single(await revive([{ slots: [slot], fill: () => slot.value }], (own) => own, call)) as object;
  }

  async #locate(slots: EntitySlot[], fill: () => unknown, options: LocateOptions): Promise<unknown> {
    const call = this.#settle({ ...options, missing: options.missing ?? 'throw' });
    return single(await revive([{ slots, fill }], (own) => own, call));
  }

  #referring({ versions, unflushed = 'allow' }: TokenOptions, listener?: EncodeListener): EncodeHooks {
    return this.#hooks.referring(versions ?? this.#options.versions ?? false, unflushed, listener);
  }
}

/** Where the row of a token, one of several by its index, is to come. Throws E_MALFORMED, E_INVALID_OPTION. */
function tokenSlot(given: EntityToken | string, index?: number): EntitySlot {
  const isToken = typeof given === 'object' && given !== null && EntityToken.isToken(given);
  if (!isToken && typeof given !== 'string') {
    const expected = 'an EntityToken or its text; EntityToken.from() makes one of a copy, token() one of an entity';
    throw ByReferenceError.invalidOption('token', expected, given);
  }
  const token = isToken ? given : EntityToken.parse(given as string);
  const slot = new EntitySlot(readTokenBody(token.toBody(), () => '$'));
  slot.place(NOWHERE, 0, NOWHERE, index);
  return slot;
}

/** A value that goes to no place of its own; only its path is told. */
const NOWHERE: readonly never[] = [];

/** The value of a single payload, or what it was refused with. */
const single = <T>(outcomes: readonly Outcome<T>[]): T => valueOf(outcomes[0]!);
