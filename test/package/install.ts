import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../../fixtures/postgres.ts';
import manifest from '../../package.json' with { type: 'json' };
import { tarball } from '../lanes/tarball.ts';
import mikroOrm6 from '../other-versions/mikro-orm-6/package.json' with { type: 'json' };

/**
 * Installs the package as a stranger does: packed, in folders that hold nothing else, with what the README says to
 * install. Runs the README's first example there, with MikroORM 7 and 6, and imports every entry point:
 * `npm run test:package`.
 */
const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(`${root}README.md`, 'utf8');
const shell = process.platform === 'win32';
const versions: Readonly<Record<string, string>> = manifest.devDependencies;

/** The entry points that need a package besides those of the README's install line. */
const PEERS: Readonly<Record<string, readonly string[]>> = {
  './bullmq': ['bullmq', 'ioredis'],
  './class-transformer': ['class-transformer', 'reflect-metadata'],
  './graphile-worker': ['graphile-worker'],
  './nestjs': ['@mikro-orm/nestjs', '@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs'],
};
const entryPoints = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === 'string' ? [] : [path],
);

async function run(cwd: string, file: string, args: readonly string[], env = process.env): Promise<string> {
  return (await promisify(execFile)(file, args, { cwd, env, shell })).stdout;
}

/** A folder of its own, with a package.json, and with the packages installed. */
async function project(folder: string, name: string, packages: readonly string[]): Promise<string> {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  await run(cwd, 'npm', ['init', '-y']);
  await run(cwd, 'npm', ['pkg', 'set', 'type=module']);
  await run(cwd, 'npm', ['install', '--no-audit', '--no-fund', ...packages]);
  return cwd;
}

/** Imports an entry point, and requires it. */
async function load(cwd: string, entryPoint: string): Promise<void> {
  const specifier = entryPoint.replace('.', manifest.name);
  const imported = `console.log(Object.keys(await import('${specifier}')).sort().join(' '))`;
  const required = `console.log(Object.keys(require('${specifier}')).sort().join(' '))`;
  const output = await run(cwd, process.execPath, ['--input-type=module', '--eval', imported]);
  assert.equal(await run(cwd, process.execPath, ['--input-type=commonjs', '--eval', required]), output);
  process.stdout.write(`  ${specifier}: ${output}`);
}

/** What the first example says in another way with MikroORM 6. */
const WITH_MIKRO_ORM_6 = [
  ['class User extends UserSchema.class {}', 'class User { declare id: number; declare email: string; }'],
  ['new MikroORM(', 'await MikroORM.init('],
  ['orm.schema.update(', 'orm.schema.updateSchema('],
] as const;

async function firstExample(cwd: string, replacements: readonly (readonly [string, string])[] = []): Promise<void> {
  const [, file, code] = /```ts\n\/\/ (\S+)\n(.*?)```/s.exec(readme)!;
  const dbName = `byref_package_${randomBytes(4).toString('hex')}`;
  let example = code!.replace(/(?<=dbName: ')\w+/, dbName);
  for (const [seven, six] of replacements) {
    assert(example.includes(seven), `The first example has no ${seven}`);
    example = example.replace(seven, six);
  }
  writeFileSync(join(cwd, file!), example);
  const server = await startPostgres();
  try {
    const output = await run(cwd, process.execPath, [file!], { ...process.env, DATABASE_URL: server.url });
    const expected = Array.from(code!.matchAll(/\/\/ → (.*)/g), ([, line]) => line);
    assert.deepEqual(output.trimEnd().split('\n'), expected);
  } finally {
    const client = new pg.Client(server.url);
    await client.connect();
    await client.query(`drop database if exists "${dbName}"`);
    await client.end();
    await server.stop();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'byref-package-'));
try {
  const packed = tarball(folder);

  const [, line] = /^npm install (.*)$/m.exec(readme)!;
  const packages = line!.split(' ').map((name) => (name === manifest.name ? packed : name));
  const plain = await project(folder, 'plain', packages);
  await firstExample(plain);
  process.stdout.write(`npm install ${line}: the first example prints what it says\n`);
  assert.match(await run(plain, 'npm', ['exec', '--', 'byref', '--help']), /byref inspect/);
  for (const entryPoint of entryPoints.filter((path) => !(path in PEERS))) await load(plain, entryPoint);

  const packages6 = (['@mikro-orm/core', '@mikro-orm/postgresql'] as const).map(
    (name) => `${name}@${mikroOrm6.dependencies[name]}`,
  );
  const withMikroOrm6 = await project(folder, 'mikro-orm-6', [packed, ...packages6]);
  await firstExample(withMikroOrm6, WITH_MIKRO_ORM_6);
  process.stdout.write(`npm install ${packages6.join(' ')}: the first example, with MikroORM 6\n`);

  for (const [entryPoint, peers] of Object.entries(PEERS)) {
    const core = `@mikro-orm/core@${versions['@mikro-orm/core']}`;
    const peerVersions = peers.map((peer) => `${peer}@${versions[peer]}`);
    const cwd = await project(folder, entryPoint, [packed, core, ...peerVersions]);
    process.stdout.write(`npm install … ${peerVersions.join(' ')}\n`);
    await load(cwd, entryPoint);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
