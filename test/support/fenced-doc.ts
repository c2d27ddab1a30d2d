import { EntitySchema } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';

/** A row that keeps the greatest token it has seen. */
export class Doc {
  declare id: number;
  declare body: string;
  declare fence: bigint;
}

export const fenced = [
  new EntitySchema<Doc>({
    class: Doc,
    properties: {
      id: { type: 'number', primary: true, autoincrement: false },
      body: { type: 'string' },
      fence: { type: 'bigint', default: 0 },
    },
  }),
];

/** 1, or 0 where a later holder has written. */
export const write = (em: EntityManager, body: string, token: bigint): Promise<number> =>
  em.nativeUpdate(Doc, { id: 1, fence: { $lte: token } }, { body, fence: token });
