/** Tasks that hear of what flushes write: of deletes that are none, and of no flush twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  ChangeSetType,
  type EntityManager,
  EntitySchema,
  type EventSubscriber,
  type FlushEventArgs,
} from '@mikro-orm/core';
import { afterCommit, EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { type Change, inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { until } from '../support/jobs.ts';

class Note {
  declare id: number;
  declare text: string;
  declare deletedAt: Date | null;
}

const schema = new EntitySchema<Note>({
  class: Note,
  properties: {
    id: { type: 'integer', primary: true },
    text: { type: 'string' },
    deletedAt: { type: 'Date', nullable: true },
  } as never,
});

let database: TestOrm;
let em: EntityManager;
const made: Tasks[] = [];

beforeAll(async () => {
  database = await openDatabase([schema]);
});
afterAll(() => database.close());
beforeEach(async () => {
  em = database.orm.em.fork();
  await em.nativeDelete(Note, {});
});
afterEach(async () => {
  for (const tasks of made.splice(0)) await tasks.stop();
});

interface Heard {
  readonly tasks: Tasks;
  readonly changes: unknown[];
}

/** What an index hears of. Tasks of one engine share its jobs, as those of one database do. */
async function listen(serializer = new EntitySerializer(database.orm), engine = inlineEngine()): Promise<Heard> {
  const tasks = new Tasks(serializer, engine);
  made.push(tasks);
  const changes: unknown[] = [];
  const index = tasks.define(
    'index',
    async ({ change, token, entity }: Change<Note>) => {
      changes.push([change, token.primaryKey, entity?.text ?? null]);
    },
    { missing: 'null' },
  );
  tasks.onFlush([Note], index);
  await tasks.work();
  return { tasks, changes };
}

async function write(act: (own: EntityManager) => unknown): Promise<void> {
  const own = database.orm.em.fork();
  await act(own);
  await own.flush();
}
/** Jobs of the inline engine run after the commit, with nobody waiting for them: as many are to come, and no more. */
async function heard(changes: readonly unknown[], count: number): Promise<readonly unknown[]> {
  await until(() => changes.length >= count);
  await sleep(50);
  return changes.slice();
}
const create = (id: number) => write((own) => own.create(Note, { id, text: `text ${id}`, deletedAt: null }));
const remove = (id: number) => write(async (own) => own.remove(await own.findOneOrFail(Note, id)));

describe('a delete that a subscriber makes an update of', () => {
  const now = new Date('2026-11-25T00:00:00.000Z');
  const ways: [string, (args: FlushEventArgs) => void][] = [
    [
      'by the type of the change set',
      ({ uow }) => {
        for (const changes of uow.getChangeSets() as unknown as { type: string; entity: Note; payload: object }[]) {
          if (changes.type !== ChangeSetType.DELETE || !(changes.entity instanceof Note)) continue;
          changes.type = ChangeSetType.UPDATE;
          Object.assign(changes.payload, { deletedAt: now });
          changes.entity.deletedAt = now;
        }
      },
    ],
    [
      'by another change set',
      ({ uow }) => {
        for (const { type, entity } of uow.getChangeSets()) {
          if (type !== ChangeSetType.DELETE || !(entity instanceof Note)) continue;
          entity.deletedAt = now;
          uow.computeChangeSet(entity);
        }
      },
    ],
  ];

  describe.each(ways)('%s', (_way, soften) => {
    const subscriber: EventSubscriber = {
      async onFlush(args) {
        if (isSoft) soften(args);
      },
    };
    let isSoft = false;

    beforeAll(() => database.orm.em.getEventManager().registerSubscriber(subscriber));
    beforeEach(() => {
      isSoft = true;
    });
    afterEach(() => {
      isSoft = false;
    });

    test('is an update, and the flush goes through', async () => {
      const { changes } = await listen();
      await create(1);
      await heard(changes, 1);
      changes.length = 0;
      await remove(1);
      expect(await heard(changes, 1)).toEqual([['update', 1, 'text 1']]);
      expect(await em.findOneOrFail(Note, 1)).toMatchObject({ deletedAt: now });
    });

    test('in a transaction, after an update and before another flush', async () => {
      const { changes } = await listen();
      await create(1);
      await heard(changes, 1);
      changes.length = 0;
      await write((own) =>
        own.transactional(async (tx) => {
          const note = await tx.findOneOrFail(Note, 1);
          note.text = 'changed';
          await tx.flush();
          tx.remove(note);
          await tx.flush();
          tx.create(Note, { id: 2, text: 'text 2', deletedAt: null });
        }),
      );
      expect(await heard(changes, 2)).toEqual([
        ['update', 1, 'changed'],
        ['create', 2, 'text 2'],
      ]);
    });

    test('by a reference', async () => {
      const { changes } = await listen();
      await create(1);
      await heard(changes, 1);
      changes.length = 0;
      await write((own) => own.remove(own.getReference(Note, 1)));
      expect(await heard(changes, 1)).toEqual([['update', 1, 'text 1']]);
    });

    test('makes a cached value stale', async () => {
      const serializer = new EntitySerializer(database.orm);
      const cache = new EntityCache(serializer, inMemory(), { singleProcess: true });
      await create(1);
      const factory = () => database.orm.em.fork().count(Note, { deletedAt: null });
      const count = () => cache.getOrSet({ key: 'notes', ttlMs: 60_000, dependsOn: [Note], factory });
      expect(await count()).toBe(1);
      await remove(1);
      expect(await count()).toBe(0);
    });
  });
});

describe('Tasks that are stopped', () => {
  test('hear of no flush any more; those that are built then make one job of one', async () => {
    const engine = inlineEngine();
    const all: Heard[] = [];
    for (let reload = 0; reload < 3; reload++) {
      await all.at(-1)?.tasks.stop();
      all.push(await listen(new EntitySerializer(database.orm), engine));
    }
    await create(1);
    await heard(all.at(-1)!.changes, 1);
    expect(all.map(({ changes }) => changes)).toEqual([[], [], [['create', 1, 'text 1']]]);
  });

  test('hear of flushes again once they work again, each once', async () => {
    const { tasks, changes } = await listen();
    await tasks.stop();
    await create(1);
    await tasks.work();
    await tasks.work();
    await create(2);
    expect(await heard(changes, 1)).toEqual([['create', 2, 'text 2']]);
  });
});

describe('two serializers on one ORM', () => {
  test('run an afterCommit callback once', async () => {
    const serializers = [1, 2, 3].map(() => new EntitySerializer(database.orm));
    expect(serializers).toHaveLength(3);
    let runs = 0;
    await write((own) =>
      own.transactional(async (tx) => {
        afterCommit(tx, () => runs++);
        await tx.transactional((inner) => afterCommit(inner, () => runs++));
      }),
    );
    await until(() => runs >= 2);
    await sleep(50);
    expect(runs).toBe(2);
  });

  test('of which one has tasks: one job', async () => {
    const { changes } = await listen(new EntitySerializer(database.orm));
    expect(new EntitySerializer(database.orm)).toBeDefined();
    await create(1);
    expect(await heard(changes, 1)).toHaveLength(1);
  });
});
