import { AsyncLocalStorage } from 'node:async_hooks';
import { EntitySchema } from '@mikro-orm/core';
import type { TaskContext } from 'mikro-orm-byref/tasks';

/** A row of a tenant: no query of it without the filter’s parameters. */
export class Note {
  declare id: number;
  declare tenant: string;
  declare text: string;
}

export const NoteSchema = new EntitySchema<Note>({
  class: Note,
  filters: {
    tenant: { name: 'tenant', cond: ({ tenant }: { tenant?: string }) => ({ tenant: tenant! }), default: true },
  },
  properties: { id: { type: 'number', primary: true }, tenant: { type: 'string' }, text: { type: 'string' } },
});

/** The tenant that is served. */
export const tenant = new AsyncLocalStorage<string>();

/** What an application does for the filter: the tenant travels with the job, and comes before its rows. */
export const tenantContext: TaskContext = {
  capture: () => ({ tenant: tenant.getStore() ?? null }),
  async run(captured, em, next) {
    const { tenant: name } = (captured ?? {}) as { tenant?: string };
    em.setFilterParams('tenant', { tenant: name });
    await tenant.run(name!, next);
  },
};
