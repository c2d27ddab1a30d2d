import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { tarball } from '../lanes/tarball.ts';
import { installsOf, readme, withDatabasesOf } from '../support/examples.ts';
import { withDatabases } from './databases.ts';
import { project, run } from './project.ts';
import { mikroOrm6Of, quickStart, runExample } from './quick-start.ts';

/**
 * Installs the package as a stranger does: packed, in folders that hold nothing else, with what the README says to
 * install. Imports every entry point there, and runs the README's first example with MikroORM 6; examples.ts runs all
 * of them with 7: `npm run test:package`.
 */
const versions: Readonly<Record<string, string>> = manifest.devDependencies;

/** The entry points that need a package besides those of the README's install line. */
const PEERS: Readonly<Record<string, readonly string[]>> = {
  './bullmq': ['bullmq', 'ioredis'],
  './class-transformer': ['class-transformer', 'reflect-metadata'],
  './graphile-worker': ['graphile-worker'],
  './microservices': ['@nestjs/common', '@nestjs/core', '@nestjs/microservices', 'reflect-metadata', 'rxjs'],
  './nestjs': ['@mikro-orm/nestjs', '@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs'],
};
const entryPoints = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === 'string' ? [] : [path],
);

/** Imports an entry point, and requires it. */
async function load(cwd: string, entryPoint: string): Promise<void> {
  const specifier = entryPoint.replace('.', manifest.name);
  const imported = `console.log(Object.keys(await import('${specifier}')).sort().join(' '))`;
  const required = `console.log(Object.keys(require('${specifier}')).sort().join(' '))`;
  const output = await run(cwd, process.execPath, ['--input-type=module', '--eval', imported]);
  assert.equal(await run(cwd, process.execPath, ['--input-type=commonjs', '--eval', required]), output);
  process.stdout.write(`  ${specifier}: ${output}`);
}

const folder = mkdtempSync(join(tmpdir(), 'byref-package-'));
try {
  const packed = tarball(folder);
  const [line] = installsOf(readme);
  const packages = line!.split(' ').map((name) => (name === manifest.name ? packed : name));
  const plain = await project(folder, 'plain', packages);
  process.stdout.write(`npm install ${line}\n`);
  assert.match(await run(plain, 'npm', ['exec', '--', 'byref', '--help']), /byref inspect/);
  for (const entryPoint of entryPoints.filter((path) => !(path in PEERS))) await load(plain, entryPoint);

  const packages6 = [mikroOrm6Of('@mikro-orm/core'), mikroOrm6Of('@mikro-orm/postgresql')];
  const withMikroOrm6 = await project(folder, 'mikro-orm-6', [packed, ...packages6]);
  process.stdout.write(`npm install ${packages6.join(' ')}\n`);
  await withDatabases(async ({ suffix, env }) => {
    writeFileSync(join(withMikroOrm6, 'reminder.ts'), withDatabasesOf(suffix, quickStart.code));
    await runExample(quickStart, withMikroOrm6, process.execPath, ['reminder.ts'], env);
  });

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
