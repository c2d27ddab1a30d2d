import type { MikroORM } from '@mikro-orm/core';

/**
 * The ORM of the application, by the configuration that MikroORM's own command would use: the given path, or
 * `MIKRO_ORM_CLI_CONFIG`, the `mikro-orm` section of package.json, `mikro-orm.config.*`. Rejects with whatever that ends in.
 */
export async function openOrm(path: string, options: { readonly connect?: boolean } = {}): Promise<MikroORM> {
  const { CLIHelper } = await mikroOrmCli();
  await prepareFor(CLIHelper);
  // Looking must not change anything: by default MikroORM creates a database that is not there.
  return CLIHelper.getORM(undefined, path === '' ? undefined : [path], { ensureDatabase: false, ...options });
}

/** Lets Node read TypeScript as MikroORM's own command does, where that is installed. */
export async function prepare(): Promise<void> {
  const command = await mikroOrmCli().catch(() => undefined);
  if (command !== undefined) await prepareFor(command.CLIHelper);
}

async function prepareFor(helper: object): Promise<void> {
  // MikroORM is needed from here on.
  const { prepareForTypeScript } = await import('./typescript.ts');
  await prepareForTypeScript(helper);
}

/** An optional peer: it is loaded when rows are asked for. */
async function mikroOrmCli(): Promise<typeof import('@mikro-orm/cli')> {
  try {
    return await import('@mikro-orm/cli');
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Error('MikroORM’s configuration needs the package @mikro-orm/cli to be installed', { cause });
  }
}
