/**
 * `node run.ts FOLDER [arguments of Jest]`: installs the package, as it is packed, in that folder beside the versions of
 * its peers that are locked there, and compiles the type tests and runs the suite with them.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tarball } from '../lanes/tarball.ts';

const [name, ...jestArguments] = process.argv.slice(2);
const here = join(import.meta.dirname, name!);
const root = join(import.meta.dirname, '../..');
const tools = join(root, 'node_modules');

function run(folder: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): number {
  const { status, error } = spawnSync(command, args, { cwd: folder, env, stdio: 'inherit' });
  if (error !== undefined) throw error;
  return status ?? 1;
}

/** Its errors are told, whatever `npm run --silent` asks. */
function npm(folder: string, ...args: string[]): void {
  if (run(folder, 'npm', [...args, '--loglevel=error']) !== 0)
    throw new Error(`npm ${args.join(' ')} failed in ${folder}`);
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

const { dependencies, overrides } = readJson<{ dependencies: object; overrides?: object }>(join(here, 'package.json'))!;

function installPeers(): void {
  const isInstalled = Object.entries(dependencies).every(
    ([peer, version]) =>
      readJson<{ version: string }>(join(here, 'node_modules', peer, 'package.json'))?.version === version,
  );
  if (!isInstalled) npm(here, 'ci', '--no-audit', '--no-fund');
}

/** By npm, which refuses a package whose peer ranges do not admit what is here. */
function installPackage(): void {
  const folder = mkdtempSync(join(tmpdir(), 'byref-packed-'));
  try {
    npm(here, 'install', '--no-save', '--no-audit', '--no-fund', tarball(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

installPeers();
installPackage();
const { ABSENT_FEATURES = {}, ABSENT_FILES } = (await import(pathToFileURL(join(here, 'absent.ts')).href)) as {
  ABSENT_FEATURES?: Record<string, string>;
  ABSENT_FILES: Record<string, string>;
};
for (const [what, reason] of Object.entries({ ...ABSENT_FEATURES, ...ABSENT_FILES })) {
  console.log(`Not with ${name}: ${what} (${reason})`);
}
const typesStatus = run(root, process.execPath, [join(tools, 'typescript/bin/tsc'), '-p', here]);
const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', join(tools, 'jest/bin/jest.js')];
const env = {
  ...process.env,
  TEST_VERSIONS: here,
  // Not every package of MikroORM is in the registry in every version: where one is told to take another core, so is MikroORM.
  MIKRO_ORM_ALLOW_VERSION_MISMATCH: overrides === undefined ? '' : '1',
  // For the processes that tests start.
  NODE_OPTIONS: [process.env['NODE_OPTIONS'], `--import ${new URL('resolve.js', import.meta.url).href}`]
    .filter(Boolean)
    .join(' '),
};
const testsStatus = globSync('jest.*config.js', { cwd: here }).map((config) =>
  // Here, because MikroORM wants one version of its packages in the package.json of the working directory.
  run(here, process.execPath, [...jest, '-c', join(here, config), '--passWithNoTests', ...jestArguments], env),
);
process.exitCode = typesStatus || testsStatus.find(Boolean) || 0;
