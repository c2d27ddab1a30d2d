/** What a controller answers before and after its entities are marked: docs/guides/rest.md says the same in words. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  Collection,
  EntityManager,
  EntitySchema,
  type Loaded,
  type OptionalProps,
  type Ref,
  serialize,
  wrap,
} from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { ClassSerializerInterceptor, Controller, Get, Inject, Param } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { Exclude } from 'class-transformer';
import { ByReference, ByReferenceEntity, type ByReferenceOptions } from 'mikro-orm-byref';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { connectLater } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { listen, start } from '../support/nest.ts';

interface Declaration {
  readonly mark?: ByReferenceOptions;
  readonly base?: abstract new () => object;
}

/** A club, which nobody marks; its members and badges may be. */
function domainOf({ mark, base = Object }: Declaration) {
  class Club {
    declare [OptionalProps]?: 'founder';
    declare id: number;
    declare title: string;
    declare founder: Ref<Member> | null;
    members = new Collection<Member>(this);
  }
  class Member extends base {
    declare id: number;
    declare email: string;
    declare secret: string;
    declare club: Ref<Club>;
  }
  /** Without relations, which class-transformer can't walk into. */
  class Badge extends base {
    declare id: number;
    declare title: string;
    declare secret: string;
  }
  Exclude()(Badge.prototype, 'secret');
  if (mark !== undefined) for (const cls of [Member, Badge]) ByReference(mark)(cls);
  const id = { type: 'number', primary: true } as const;
  const text = { type: 'string' } as const;
  const entities = [
    new EntitySchema<Club>({
      class: Club,
      properties: {
        id,
        title: text,
        founder: { kind: 'm:1', entity: () => Member, ref: true, nullable: true },
        members: { kind: '1:m', entity: () => Member, mappedBy: 'club', orderBy: { id: 'asc' } },
      },
    }),
    new EntitySchema<Member>({
      class: Member,
      properties: {
        id,
        email: text,
        secret: { ...text, hidden: true },
        club: { kind: 'm:1', entity: () => Club, ref: true },
      },
    }),
    new EntitySchema<Badge>({ class: Badge, properties: { id, title: text, secret: { ...text, hidden: true } } }),
  ];
  return { Club, Member, Badge, entities };
}

const club = (em: EntityManager, { Club }: ReturnType<typeof domainOf>) =>
  em.findOneOrFail(Club, 1, { populate: ['founder', 'members'] });
const ann = (em: EntityManager, { Member }: ReturnType<typeof domainOf>) => em.findOneOrFail(Member, 1);

const ANN = { id: 1, email: 'ann@example.org', club: 1 };
const BOB = { id: 2, email: 'bob@example.org', club: 1 };
const CHESS = { id: 1, title: 'Chess' };
const [TOKEN_OF_ANN, TOKEN_OF_BOB] = [{ $entity: ['Member', 1] }, { $entity: ['Member', 2] }];

interface Answer {
  readonly of: (em: EntityManager, domain: ReturnType<typeof domainOf>) => unknown;
  /** By nobody marked. */
  readonly json: unknown;
  /** Marked; where it is left out, nothing changes. */
  readonly marked?: unknown;
  /** Through Nest's ClassSerializerInterceptor, marked or not; where it is left out, it changes nothing. */
  readonly intercepted?: unknown;
}

/** class-transformer can't walk into what MikroORM keeps in relations. */
const FAILS = 500;

const ANSWERS: Readonly<Record<string, Answer>> = {
  entity: { of: ann, json: ANN, marked: TOKEN_OF_ANN, intercepted: FAILS },
  'entities in an array': {
    of: (em, { Member }) => em.find(Member, {}, { orderBy: { id: 'asc' } }),
    json: [ANN, BOB],
    marked: [TOKEN_OF_ANN, TOKEN_OF_BOB],
    intercepted: FAILS,
  },
  'entity in an object': {
    of: async (em, domain) => ({ member: await ann(em, domain), at: 'home' }),
    json: { member: ANN, at: 'home' },
    marked: { member: TOKEN_OF_ANN, at: 'home' },
    intercepted: FAILS,
  },
  reference: {
    of: async (em, domain) => ({ founder: (await club(em, domain)).founder }),
    json: { founder: ANN },
    marked: { founder: TOKEN_OF_ANN },
    intercepted: FAILS,
  },
  'entity without relations': {
    of: (em, { Badge }) => em.findOneOrFail(Badge, 1),
    json: { id: 1, title: 'Gold' },
    marked: { $entity: ['Badge', 1] },
    // As ever: what @Exclude leaves, of a row that nobody asks for its toJSON.
    intercepted: { id: 1, title: 'Gold' },
  },
  'parent that is not marked': {
    of: club,
    json: { ...CHESS, founder: ANN, members: [ANN, BOB] },
    marked: { ...CHESS, founder: TOKEN_OF_ANN, members: [TOKEN_OF_ANN, TOKEN_OF_BOB] },
    intercepted: FAILS,
  },
  'parent with nothing populated': {
    of: (em, { Club }) => em.findOneOrFail(Club, 1),
    json: { ...CHESS, founder: 1 },
    intercepted: FAILS,
  },
  'toObject() of the parent': {
    of: async (em, domain) => wrap(await club(em, domain)).toObject(),
    json: { ...CHESS, founder: ANN, members: [ANN, BOB] },
    marked: { ...CHESS, founder: TOKEN_OF_ANN, members: [TOKEN_OF_ANN, TOKEN_OF_BOB] },
  },
  collection: {
    of: async (em, domain) => (await club(em, domain)).members,
    json: [ANN, BOB],
    marked: [TOKEN_OF_ANN, TOKEN_OF_BOB],
    intercepted: FAILS,
  },
  'toArray() of the collection': {
    of: async (em, domain) => (await club(em, domain)).members.toArray(),
    json: [ANN, BOB],
    marked: [TOKEN_OF_ANN, TOKEN_OF_BOB],
  },
  'toObject() of the entity itself': { of: async (em, domain) => wrap(await ann(em, domain)).toObject(), json: ANN },
  'toPOJO() of the parent': {
    of: async (em, domain) => {
      const { founder } = wrap(await club(em, domain)).toPOJO() as unknown as { founder: Record<string, unknown> };
      return { email: founder['email'], secret: founder['secret'] };
    },
    json: { email: ANN.email, secret: 's' },
  },
  'serialize() of the entity': { of: async (em, domain) => serialize(await ann(em, domain)), json: ANN },
  'serialize() of the parent': {
    of: async (em, domain) => {
      const found = (await club(em, domain)) as Loaded<object, never>;
      return serialize(found, { populate: ['founder', 'members'] as never });
    },
    json: { ...CHESS, founder: ANN, members: [ANN, BOB] },
  },
};
const expected = (pick: (answer: Answer) => unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(ANSWERS).map(([name, answer]) => [name, pick(answer)]));

let database: TestOrm;
beforeAll(async () => {
  const { Club, Member, Badge, entities } = domainOf({});
  database = await openDatabase(entities);
  const em = database.orm.em.fork();
  const chess = em.create(Club, { id: 1, title: 'Chess' });
  const founder = em.create(Member, { id: 1, email: 'ann@example.org', secret: 's', club: chess });
  em.create(Member, { id: 2, email: 'bob@example.org', secret: 's', club: chess });
  em.create(Badge, { id: 1, title: 'Gold', secret: 's' });
  await em.flush();
  await em.nativeUpdate(Club, { id: 1 }, { founder });
});
afterAll(() => database.close());

/** What an application answers whose classes are declared like this; a status where it fails. */
async function answers(declaration: Declaration, interceptors: readonly object[] = []): Promise<object> {
  const domain = domainOf(declaration);
  class Answers {
    readonly em: EntityManager;

    constructor(em: EntityManager) {
      this.em = em;
    }

    answer(name: string): unknown {
      return ANSWERS[name]!.of(this.em, domain);
    }
  }
  Controller()(Answers);
  Inject(EntityManager)(Answers, undefined, 0);
  Param('name')(Answers.prototype, 'answer', 0);
  Get(':name')(Answers.prototype, 'answer', Object.getOwnPropertyDescriptor(Answers.prototype, 'answer')!);
  const app = await start({
    imports: [
      MikroOrmModule.forRoot({
        driver: PostgreSqlDriver,
        clientUrl: database.url,
        entities: domain.entities,
        ...connectLater,
      }) as never,
      ByReferenceModule.forRoot(),
    ],
    controllers: [Answers],
    providers: interceptors.map((useValue) => ({ provide: APP_INTERCEPTOR, useValue })),
  });
  try {
    const url = await listen(app);
    const told = Object.keys(ANSWERS).map(async (name) => {
      const response = await fetch(`${url}/${encodeURIComponent(name)}`);
      return [name, response.ok ? await response.json() : response.status] as const;
    });
    return Object.fromEntries(await Promise.all(told));
  } finally {
    await app.close();
  }
}

const UNTOUCHED: Readonly<Record<string, Declaration>> = {
  'without a mark': {},
  'with toJSON: false': { mark: { toJSON: false } },
  'with toJSON: false on ByReferenceEntity': { mark: { toJSON: false }, base: ByReferenceEntity },
};
const TOKENS: Readonly<Record<string, Declaration>> = {
  'with a mark': { mark: {} },
  'on ByReferenceEntity': { base: ByReferenceEntity },
};

describe.each(Object.entries(UNTOUCHED))('%s', (_name, declaration) => {
  test('answers are what they are without this library', async () => {
    expect(await answers(declaration)).toEqual(expected(({ json }) => json));
  });
});

describe.each(Object.entries(TOKENS))('%s', (_name, declaration) => {
  test('answers hold tokens where toJSON is asked, and nowhere else', async () => {
    expect(await answers(declaration)).toEqual(expected(({ json, marked = json }) => marked));
  });
});

const interceptor = () => new ClassSerializerInterceptor({ getAllAndOverride: () => undefined } as never);

describe.each(Object.entries({ ...UNTOUCHED, ...TOKENS }))(
  "Nest's ClassSerializerInterceptor, %s",
  (name, declaration) => {
    test('asks no entity for its toJSON', async () => {
      const isMarked = name in TOKENS;
      const after = ({ json, marked = json, intercepted }: Answer): unknown =>
        intercepted ?? (isMarked ? marked : json);
      expect(await answers(declaration, [interceptor()])).toEqual(expected(after));
    });
  },
);
