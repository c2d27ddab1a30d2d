/** `authorize`: whom an application lets in, and which rows it is asked about. */
import type { AnyEntity } from '@mikro-orm/core';
import type { DeserializeOptions } from 'mikro-orm-byref';
import { idOf, isA, type Model, modelOf, type Text } from './fields.ts';
import { type Rows, type View, viewOf } from './world.ts';

/** By what an application may decide: a row's class and its key. */
export const AUTHORIZERS = {
  everything: () => true,
  nothing: () => false,
  'no people': ({ root }: Model) => root !== 'Person',
  'people only': ({ root }: Model) => root === 'Person',
  'even keys': (_model: Model, id: number) => id % 2 === 0,
  'all but the second': (_model: Model, id: number) => id !== 2,
} satisfies Record<string, (model: Model, id: number) => boolean>;
export type Authorizer = keyof typeof AUTHORIZERS;

/** The option. `asked` takes what each row is when it is asked about. */
export const authorizing =
  (name: Authorizer, asked: View[]): NonNullable<DeserializeOptions['authorize']> =>
  (entity: AnyEntity, { model, primaryKey }) => {
    const view = viewOf(entity);
    if (modelOf(model).root !== view.model.root || Number(primaryKey) !== idOf(entity))
      throw new Error(`${view.model.name} ${idOf(entity)} has the token of ${model} ${String(primaryKey)}`);
    asked.push(view);
    return AUTHORIZERS[name](view.model, idOf(entity));
  };

export const keyOf = (root: string, id: number): string => `${root} ${id}`;
export const keyOfView = ({ model, entity }: View): string => keyOf(model.root, idOf(entity));

/** What one query reads: all of a single table, a class of its own otherwise. */
export const groupOf = ({ name, root, type }: Model): string => (type === undefined ? name : root);

/** The rows that are read beside an EntityManager: those that tokens name, and what `populate` leads to by the database. */
export class Asked {
  readonly #rows: Rows;
  readonly #admits: (model: Model, id: number) => boolean;
  readonly #keys = new Set<string>();

  constructor(
    rows: Rows,
    name: Authorizer,
    named: readonly { readonly model: Model; readonly id: number }[],
    pathsOf: (model: Model) => readonly string[],
  ) {
    [this.#rows, this.#admits] = [rows, AUTHORIZERS[name]];
    for (const { model, id } of named) {
      if (this.#isMet(model, id))
        for (const path of ['', ...pathsOf(model)]) this.#walk(model.root, id, path.split('.'));
    }
  }

  /** Whether a query for rows of a class meets a row. */
  #isMet(model: Model, id: number): boolean {
    const found = this.#rows.find(model.root, id);
    return found !== undefined && isA(found.model, modelOf(groupOf(model)));
  }

  #walk(root: string, id: number, [name, ...path]: readonly string[]): void {
    this.#keys.add(keyOf(root, id));
    if (name === undefined || name === '') return;
    const found = this.#rows.find(root, id)!;
    const many = found.model.many.find((candidate) => candidate.name === name);
    const target = many?.target ?? found.model.fields.find((field) => field.name === name)!.target!;
    const related = many === undefined ? JSON.parse(this.#rows.valueOf(found, name)!) : this.#rows.items(id, many);
    for (const next of [related as number | null | number[]].flat()) if (next !== null) this.#walk(target, next, path);
  }

  /** Whether a row may come in. */
  admits(root: string, id: number): boolean {
    return this.#keys.has(keyOf(root, id)) && this.#admits(this.#rows.find(root, id)!.model, id);
  }

  /** Whether a row that a token names may. */
  admitsNamed(model: Model, id: number): boolean {
    return this.#isMet(model, id) && this.admits(model.root, id);
  }

  /** Each is asked about once, as the database has it. `isUnread` tells what a query may leave undefined. */
  check(
    asked: readonly View[],
    isUnread: (entity: AnyEntity, field: Model['fields'][number], now: Text) => boolean,
  ): void {
    const keys = asked.map(keyOfView).sort();
    const expected = [...this.#keys].sort();
    if (keys.join() !== expected.join())
      throw new Error(`authorize is asked about ${keys.join()}, not ${expected.join()}`);
    for (const { model, entity, fields, many } of asked) {
      const found = this.#rows.find(model.root, idOf(entity))!;
      const wrong = [
        ...model.fields.flatMap((field): readonly (readonly [string, Text, Text])[] => {
          const [is, now] = [fields.get(field.name), this.#rows.valueOf(found, field.name)];
          return is === now || (is === undefined && isUnread(entity, field, now)) ? [] : [[field.name, is, now]];
        }),
        ...model.many.flatMap((each): readonly (readonly [string, Text, Text])[] => {
          const [is, now] = [many.get(each.name), JSON.stringify(this.#rows.items(idOf(entity), each))];
          return is === undefined || is === now ? [] : [[each.name, is, now]];
        }),
      ];
      for (const [name, is, now] of wrong)
        throw new Error(`${model.name} ${idOf(entity)} is asked about with ${name} ${is}, not ${now}`);
    }
  }
}
