import type { MikroORM } from '@mikro-orm/core';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EntitySerializer } from '../entity-serializer.ts';
import { Tasks } from '../tasks/tasks.ts';
import { UsageError } from './arguments.ts';
import { openOrm, prepare } from './open-orm.ts';

/** What `byref.config.*` exports as its default. Each may be a function, of what is above it. */
interface Configuration {
  readonly orm: Given<MikroORM | readonly MikroORM[]>;
  readonly serializer?: Given<EntitySerializer, [orm: MikroORM | readonly MikroORM[]]>;
  readonly tasks?: Given<Tasks | readonly Tasks[], [serializer: EntitySerializer]>;
}

type Given<T, Of extends readonly unknown[] = []> = T | ((...of: Of) => T | Promise<T>);

/** The application whose payloads a command is about. */
export interface Application {
  readonly serializer: EntitySerializer;
  readonly tasks: readonly Tasks[];
}

const NAMES = ['ts', 'mts', 'js', 'mjs'].map((extension) => `byref.config.${extension}`);

/**
 * By the given path, or `byref.config.*` of the working directory; where there is none, the models of MikroORM's own
 * configuration alone. No connection is opened here. Throws UsageError; rejects with whatever the configuration does.
 */
export async function openApplication(path: string | undefined): Promise<Application> {
  if (path !== undefined && !existsSync(path)) throw new UsageError(`no such file: ${path}`);
  const file = path ?? NAMES.find((name) => existsSync(name));
  if (file === undefined) return { serializer: new EntitySerializer(await openOrm('', { connect: false })), tasks: [] };
  if (/\.[cm]?ts$/.test(file)) await prepare();
  const configuration = read(await import(pathToFileURL(resolve(file)).href), file);
  const orm = await given(configuration.orm);
  const serializer = (await given(configuration.serializer, orm)) ?? new EntitySerializer(orm);
  const tasks = [(await given(configuration.tasks, serializer)) ?? []].flat();
  if (!(serializer instanceof EntitySerializer)) throw new UsageError(`${file}: serializer is no EntitySerializer`);
  if (!tasks.every((each) => each instanceof Tasks)) throw new UsageError(`${file}: tasks are not made by new Tasks()`);
  return { serializer, tasks };
}

function read(module: object, file: string): Configuration {
  let found: unknown = module;
  // Compiled to CommonJS, a default export is that of the default.
  while (typeof found === 'object' && found !== null && 'default' in found) found = found.default;
  if (typeof found === 'object' && found !== null && 'orm' in found) return found as Configuration;
  throw new UsageError(`${file}: expected a default export { orm, serializer, tasks }`);
}

function given<T, Of extends readonly unknown[]>(value: Given<T, Of>, ...of: Of): T | Promise<T> {
  return typeof value === 'function' ? (value as (...of: Of) => T | Promise<T>)(...of) : value;
}
