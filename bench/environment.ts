/** What a run ran on, in words that anybody may read: versions and the machine, no names. */
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { EntityManager } from '@mikro-orm/core';

/** A line of versions, and a line about the machine. `url` is the database's; `mariadb` the version of the other one. */
export async function environment(
  em: EntityManager,
  url: string,
  mariadb: string | undefined,
): Promise<readonly string[]> {
  const [row] = await em.getConnection().execute<{ server_version: string }[]>('show server_version');
  const [postgres] = row!.server_version.split(' ');
  const versions = {
    Node: process.versions.node,
    MikroORM: versionOf('@mikro-orm/core'),
    PostgreSQL: postgres,
    ...(mariadb !== undefined && { MariaDB: mariadb }),
    superjson: versionOf('superjson'),
    devalue: versionOf('devalue'),
  };
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);
  const processors = cpus();
  return [
    Object.entries(versions)
      .map((entry) => entry.join(' '))
      .join(', '),
    [
      `${processors.length} × ${processors[0]!.model.trim()}`,
      `${Math.round(totalmem() / 2 ** 30)} GiB`,
      `${process.platform} ${process.arch}`,
      isLocal ? 'the database on the same machine' : 'the database on another machine',
    ].join(', '),
  ];
}

function versionOf(name: string): string {
  const url = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}
