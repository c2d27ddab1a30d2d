/**
 * `node run.ts [arguments of Jest]`: packs the package, installs it here beside MikroORM 6, and compiles the type tests
 * and runs the suite with the two.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tarball } from '../lanes/tarball.ts';
import { ABSENT_FEATURES, ABSENT_FILES } from './absent.ts';

const here = import.meta.dirname;
const root = join(here, '../..');
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

function installMikroOrm(): void {
  const { dependencies } = readJson<{ dependencies: object }>(join(here, 'package.json'))!;
  const isInstalled = Object.entries(dependencies).every(
    ([name, version]) =>
      readJson<{ version: string }>(join(here, 'node_modules', name, 'package.json'))?.version === version,
  );
  if (!isInstalled) npm(here, 'ci', '--no-audit', '--no-fund');
}

/** By npm, which refuses a package whose peer range does not admit the MikroORM that is here. */
function installPackage(): void {
  const folder = mkdtempSync(join(tmpdir(), 'byref-packed-'));
  try {
    npm(here, 'install', '--no-save', '--no-audit', '--no-fund', tarball(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

installMikroOrm();
installPackage();
for (const [what, reason] of [...Object.entries(ABSENT_FEATURES), ...Object.entries(ABSENT_FILES)]) {
  console.log(`Not with MikroORM 6: ${what} (${reason})`);
}
const typesStatus = run(root, process.execPath, [join(tools, 'typescript/bin/tsc'), '-p', here]);
const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', join(tools, 'jest/bin/jest.js')];
const options = [process.env['NODE_OPTIONS'], `--import ${new URL('resolve.js', import.meta.url).href}`];
// For the processes that tests start.
const env = { ...process.env, NODE_OPTIONS: options.filter(Boolean).join(' ') };
const testsStatus = ['jest.config.js', 'jest.sqlite.config.js'].map((config) =>
  // Here, because MikroORM 6 wants one version of its packages in the package.json of the working directory.
  run(here, process.execPath, [...jest, '-c', join(here, config), '--passWithNoTests', ...process.argv.slice(2)], env),
);
process.exitCode = typesStatus || testsStatus.find(Boolean) || 0;
