import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const shell = process.platform === 'win32';

/** What the program writes on standard output; rejects when it fails, or does not end within the time. */
export async function run(
  cwd: string,
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  return (await promisify(execFile)(file, args, { cwd, env, shell, timeout: 400_000 })).stdout;
}

export async function install(cwd: string, packages: readonly string[]): Promise<void> {
  await run(cwd, 'npm', ['install', '--no-audit', '--no-fund', ...packages]);
}

/** A folder of its own, with a package.json, and with the packages installed. */
export async function project(folder: string, name: string, packages: readonly string[]): Promise<string> {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  await run(cwd, 'npm', ['init', '-y']);
  await run(cwd, 'npm', ['pkg', 'set', 'type=module']);
  await install(cwd, packages);
  return cwd;
}
