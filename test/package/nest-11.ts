/** What `nest new` of Nest 11 makes, with MikroORM 6: its Jest, in CommonJS, runs docs/testing/jest.md, and webpack builds it. */
import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tarball } from '../lanes/tarball.ts';
import { withDatabasesOf } from '../support/examples.ts';
import { withDatabases } from './databases.ts';
import { install, run } from './project.ts';
import { mikroOrm6Of } from './quick-start.ts';

const page = readFileSync(new URL('../../docs/testing/jest.md', import.meta.url), 'utf8');
const PACKAGES = (['@mikro-orm/core', '@mikro-orm/postgresql', '@mikro-orm/nestjs'] as const).map(mikroOrm6Of);
assert(page.includes(`npm i mikro-orm-byref ${PACKAGES.join(' ')}`));

const LINTERS =
  '@eslint/eslintrc @eslint/js eslint eslint-config-prettier eslint-plugin-prettier prettier typescript-eslint';

/** In the place of the application's own: signs somebody up, and says what the worker has made of it. */
const MAIN = `
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ByReferenceModule } from 'mikro-orm-byref/nestjs';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { Accounts } from './accounts.service';
import { User } from './user.entity';

@Module({
  imports: [
    MikroOrmModule.forRoot({ driver: PostgreSqlDriver, entities: [User], clientUrl: process.env.DATABASE_URL, dbName: 'byref_nest_main' }),
    ByReferenceModule.forRoot({ engine: inlineEngine(), work: true }),
  ],
  providers: [Accounts],
})
class AppModule {}

async function main() {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
  const { schema, em } = app.get(MikroORM);
  await schema.ensureDatabase();
  await schema.refreshDatabase();
  const accounts = app.get(Accounts);
  const { id } = await accounts.signUp('Ann@Example.org');
  await app.get(Tasks).stop(); // once its jobs are done
  console.log((await em.fork().findOneOrFail(User, id)).email);
  await app.close();
}
void main();
`;

const folder = mkdtempSync(join(tmpdir(), 'byref-nest-'));
try {
  const packed = tarball(folder);
  const options = ['--skip-git', '--skip-install', '--package-manager', 'npm'];
  await run(folder, 'npm', ['exec', '--yes', '--', '@nestjs/cli@11', 'new', 'app', ...options]);
  const cwd = join(folder, 'app');
  // They take as long to install as all the rest.
  await run(cwd, 'npm', ['pkg', 'delete', ...LINTERS.split(' ').map((name) => `devDependencies.${name}`)]);
  process.stdout.write(`nest new app; npm install ${PACKAGES.join(' ')}\n`);
  await install(cwd, [packed, ...PACKAGES]);
  await withDatabases(async ({ suffix, env }) => {
    for (const [, file, code] of page.matchAll(/```typescript\n\/\/ (\S+)\n(.*?)```/gs)) {
      writeFileSync(join(cwd, file!), withDatabasesOf(suffix, code!));
    }
    await run(cwd, 'npm', ['test'], env);
    process.stdout.write('  npm test\n');
    writeFileSync(join(cwd, 'src/main.ts'), withDatabasesOf(suffix, MAIN));
    await run(cwd, 'npm', ['run', 'build', '--', '--webpack'], env);
    assert.equal(await run(cwd, process.execPath, ['dist/main.js'], env), 'ann@example.org\n');
    process.stdout.write('  nest build --webpack\n');
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
