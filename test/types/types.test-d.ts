/** Compiled, never run: what is inferred, exactly, and provably not `any`. */
import {
  Collection,
  type EntityManager,
  type InferEntity,
  type Loaded,
  type Ref,
  defineEntity,
  p,
} from '@mikro-orm/core';
import type { EntitySerializer } from 'mikro-orm-byref';
import {
  ByReference,
  ByReferenceEntity,
  ByReferenceMixin,
  byValue,
  type EntityOf,
  EntityToken,
  type Encoded,
  type JsonValue,
  type MissingPolicy,
  type Revived,
  type Serialized,
} from 'mikro-orm-byref';
import { ref } from 'mikro-orm-byref/class-transformer';
import type { Post, User, UserSchema } from '../../fixtures/domain.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const serializer: EntitySerializer;
declare const em: EntityManager;
declare const user: User;
declare const post: Loaded<Post, 'comments'>;
declare const userRef: Ref<User>;
declare const UserClass: typeof User;
declare const PostClass: typeof Post;
declare const Users: typeof UserSchema;

// The brand carries the type from serialize to deserialize.
{
  const payload = serializer.serialize({ user, due: new Date(), n: 1 as const });
  expectType<Serialized<{ user: User; due: Date; n: 1 }>>()(payload, true);
  const back = await serializer.deserialize(payload, { em });
  expectType<{ user: User; due: Date; n: 1 }>()(back, true);
  const decoded = await serializer.decode(serializer.encode([user]));
  expectType<User[]>()(decoded, true);
}

// Across processes the consumer names it; a plain string is accepted, and without a name nothing is claimed.
{
  const text: string = '';
  expectType<unknown>()(await serializer.deserialize(text), true);
  expectType<{ user: User }>()(await serializer.deserialize<{ user: User }>(text), true);
  expectType<{ user: User }>()(await serializer.decode<{ user: User }>({} as JsonValue), true);
  const payload: string = serializer.serialize(user);
  void payload;
  // @ts-expect-error a payload of one type is no payload of another
  const wrong: Serialized<Post> = serializer.serialize(user);
  void wrong;
  // @ts-expect-error an encoded value is no text
  await serializer.deserialize(serializer.encode(user));
}

// Revived: references and Refs are the entity, collections arrays, Loaded plain again, the rest as it was.
{
  expectType<{ user: User; list: User[] }>()({} as Revived<{ user: Ref<User>; list: Ref<User>[] }>, true);
  expectType<User[]>()({} as Revived<Collection<User>>, true);
  expectType<Post>()({} as Revived<Loaded<Post, 'comments'>>, true);
  expectType<{ post: Post }>()(await serializer.deserialize(serializer.serialize({ post })), true);
  expectType<User>()(await serializer.deserialize(serializer.serialize(userRef)), true);
  expectType<Map<string, User>>()({} as Revived<Map<string, Ref<User>>>, true);
  expectType<Set<User>>()({} as Revived<Set<User>>, true);
  expectType<[User, 1, 'x']>()({} as Revived<[Ref<User>, 1, 'x']>, true);
  expectType<readonly User[]>()({} as Revived<readonly Ref<User>[]>, true);
  expectType<{ a?: User; readonly b: User | null }>()({} as Revived<{ a?: Ref<User>; readonly b: User | null }>, true);
  expectType<Uint8Array>()({} as Revived<Buffer>, true);
  expectType<Date>()({} as Revived<Date>, true);
  expectType<EntityToken>()({} as Revived<EntityToken>, true);
  expectType<unknown>()({} as Revived<unknown>, true);
  expectType<bigint | undefined>()({} as Revived<bigint | undefined>, true);
  // @ts-expect-error not any: a revived user has no such property
  void ({} as Revived<{ user: User }>).user.nope;
}

// Class instances are never mapped over: #private members and relations stay.
{
  class Secret {
    #key = 1;
    reference!: Ref<User>;
    read(): number {
      return this.#key;
    }
  }
  expectType<{ secret: Secret }>()({} as Revived<{ secret: Secret }>, true);
  expectType<User>()({} as Revived<User>, true);
  expectType<Collection<Post>>()({} as Revived<User>['posts'], true);
}

// An entity type inferred from defineEntity is an entity, not plain data.
{
  const Author = defineEntity({
    name: 'Author',
    properties: { id: p.integer().primary(), books: () => p.oneToMany(Book).mappedBy('author') },
  });
  const Book = defineEntity({
    name: 'Book',
    properties: { id: p.integer().primary(), author: () => p.manyToOne(Author).ref() },
  });
  type IBook = InferEntity<typeof Book>;
  expectType<{ book: IBook }>()({} as Revived<{ book: IBook }>, true);
}

// missing: 'null' shows in the type where the classes are named, and only for those.
{
  const payload = serializer.serialize({ user, post, list: [user] });
  const some = await serializer.deserialize(payload, { missing: 'null', only: [UserClass] });
  expectType<{ user: User | null; post: Post; list: (User | null)[] }>()(some, true);
  const both = await serializer.deserialize(payload, { missing: 'null', only: [UserClass, PostClass] });
  expectType<{ user: User | null; post: Post | null; list: (User | null)[] }>()(both, true);
  expectType<{ user: User; post: Post; list: User[] }>()(
    await serializer.deserialize(payload, { missing: 'null' }),
    true,
  );
  expectType<{ user: User; post: Post; list: User[] }>()(
    await serializer.deserialize(payload, { only: [UserClass] }),
    true,
  );
}

// A copy by value comes back as its entity, never null.
{
  const payload = serializer.serialize({ copy: byValue(user), list: [byValue(post.author)] });
  expectType<{ copy: User; list: User[] }>()(await serializer.deserialize(payload), true);
  expectType<{ copy: User; list: User[] }>()(
    await serializer.deserialize(payload, { missing: 'null', only: [UserClass] }),
    true,
  );
}

// The two halves of a value object's codec agree.
{
  class Money {
    readonly cents: bigint;
    constructor(cents: bigint | string) {
      this.cents = BigInt(cents);
    }
  }
  const { values } = serializer;
  const encodeMoney = ({ cents }: Money): bigint => cents;
  const fromText = (text: string): Money => new Money(text);
  values.register('Money', Money, { encode: encodeMoney, decode: (cents) => new Money(cents) });
  // @ts-expect-error decode takes what encode returns
  values.register('Money', Money, { encode: encodeMoney, decode: fromText });
  // @ts-expect-error decode returns the class
  values.register('Money', Money, { encode: encodeMoney, decode: () => 1 });
}

// Options are checked.
{
  // @ts-expect-error no such policy
  await serializer.deserialize('', { missing: 'drop' });
  // @ts-expect-error no such option
  await serializer.deserialize('', { mising: 'null' });
  // @ts-expect-error only is required
  await serializer.revive({}, {});
  expectType<unknown>()(await serializer.revive({}, { only: [UserClass] }), true);
  expectType<{ user: User }>()(serializer.clone({ user }), true);
  expectType<Encoded<User>>()(serializer.encode(user), true);
}

// A token's row: null only where the call says so, text only with classes.
{
  const token = new EntityToken('User', 1);
  const policy = 'null' as MissingPolicy;
  expectType<User>()(await serializer.locate(token, { only: [UserClass] }), true);
  expectType<User | Post>()(await serializer.locate('text', { only: [UserClass, PostClass], em }), true);
  expectType<User | null>()(await serializer.locate('text', { only: [UserClass], missing: 'null' }), true);
  expectType<User | null>()(await serializer.locate(token, { only: [UserClass], missing: 'omit' }), true);
  expectType<User | null>()(await serializer.locate(token, { only: [UserClass], missing: policy }), true);
  expectType<User>()(await serializer.locate(token, { only: [UserClass], missing: 'throw' }), true);
  expectType<object>()(await serializer.locate(token), true);
  expectType<User>()(await serializer.locate<User>(token, { em }), true);
  expectType<User>()(await serializer.locate<User>(token, { only: [UserClass] }), true);
  expectType<User | null>()(await serializer.locate<User>(token, { missing: 'null' }), true);
  expectType<User | null>()(await serializer.locate<User>(token, { missing: policy }), true);
  expectType<User[]>()(await serializer.locateMany(['text', token], { only: [UserClass] }), true);
  expectType<User[]>()(await serializer.locateMany([token], { only: [UserClass], missing: 'omit' }), true);
  expectType<(User | null)[]>()(await serializer.locateMany([token], { only: [UserClass], missing: 'null' }), true);
  expectType<(User | null)[]>()(await serializer.locateMany([token], { only: [UserClass], missing: policy }), true);
  expectType<object[]>()(await serializer.locateMany([token]), true);
  expectType<User[]>()(await serializer.locateMany<User>([token], { em, missing: 'omit' }), true);
  expectType<(User | null)[]>()(await serializer.locateMany<User>([token], { missing: 'null' }), true);
  // @ts-expect-error text needs only
  await serializer.locate('text');
  // @ts-expect-error text needs only
  await serializer.locate('text', { em });
  // @ts-expect-error text needs only
  await serializer.locateMany([token, 'text'], { em });
  // @ts-expect-error an entity is no token
  await serializer.locate(user, { only: [UserClass] });
  // @ts-expect-error nor is a Ref
  await serializer.locate(userRef, { only: [UserClass] });
  // @ts-expect-error nor what a structured clone is
  await serializer.locate({ model: 'User', primaryKey: 1 });
  // @ts-expect-error one token is read by locate
  await serializer.locateMany(token);
  // @ts-expect-error a token is not signed
  await serializer.locate(token, { signed: { purpose: 'a' } });
  // @ts-expect-error a token is no payload of a DTO
  await serializer.locate(token, { as: class {} });
  serializer.serialize(user, { versions: 'required' });
  // @ts-expect-error no such choice
  serializer.serialize(user, { versions: 'demanded' });
}

// A schema is taken wherever a class is.
{
  const Author = defineEntity({ name: 'Author', properties: { id: p.integer().primary(), penName: p.string() } });
  type IAuthor = InferEntity<typeof Author>;
  const both = [UserClass, Author] as const;
  expectType<IAuthor>()({} as EntityOf<typeof Author>, true);
  expectType<User>()({} as EntityOf<typeof UserSchema>, true);
  expectType<User>()({} as EntityOf<typeof User>, true);
  expectType<IAuthor>()(await serializer.locate('text', { only: [Author] }), true);
  expectType<User | IAuthor>()(await serializer.locate('text', { only: both }), true);
  expectType<User | IAuthor>()(await serializer.verify('text', { purpose: 'a', only: both }), true);
  expectType<{ author: IAuthor | null; user: User }>()(
    await serializer.deserialize(serializer.serialize({ author: {} as IAuthor, user }), {
      missing: 'null',
      only: [Author],
    }),
    true,
  );
  expectType<User | null>()(await serializer.decode(serializer.encode(user), { missing: 'null', only: [Users] }), true);
  await serializer.revive({}, { only: both });
  ref(() => Author, { only: [Users] });
  ref(() => [UserClass, Author]);
  // @ts-expect-error no class
  ref(() => 'Author');
  // @ts-expect-error no class
  await serializer.revive({}, { only: ['Author'] });
  // @ts-expect-error not any: an author has no such property
  void ({} as EntityOf<typeof Author>).nope;
}

// The base class and the mixin: revive is typed by this, the base's own members stay.
{
  abstract class Model {
    tenant(): string {
      return '';
    }
  }
  class Account extends ByReferenceMixin(Model) {
    id!: number;
  }
  class Shelf extends ByReferenceEntity {
    id!: number;
  }
  expectType<Account>()(await Account.revive(new EntityToken('Account', 1), em), true);
  expectType<Shelf>()(await Shelf.revive('token', em), true);
  expectType<string>()(new Account().tenant(), true);
  expectType<EntityToken>()(new Shelf().toToken(), true);
  ByReference({ name: 'model' })(Model);
  // @ts-expect-error a class is expected
  ByReference()('Model');
}
