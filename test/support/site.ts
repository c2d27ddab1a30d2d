import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Site {
  readonly url: string;
  stop(): Promise<void>;
}

/** Of examples/, as a user starts one, on a free port; on the servers of `env`, or on its own. */
export async function startSite(
  name: string,
  env: NodeJS.ProcessEnv = {},
  args: readonly string[] = [],
): Promise<Site> {
  const script = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
  const site: ChildProcess = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await Promise.race([
    once(createInterface(site.stdout!), 'line').then(([line]) => line as string),
    once(site, 'exit').then(([code]) => Promise.reject(new Error(`The site ended with ${code}.`))),
  ]);
  return {
    url,
    async stop() {
      site.kill('SIGTERM');
      if (site.exitCode === null) await once(site, 'exit');
      if (site.exitCode !== 0) throw new Error(`The site ended with ${site.exitCode}.`);
    },
  };
}
