import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Site {
  readonly url: string;
  stop(): Promise<void>;
}

/** The example as a user starts it, on a free port; on the PostgreSQL of `databaseUrl`, or one of its own. */
export async function startSite(databaseUrl?: string): Promise<Site> {
  const script = fileURLToPath(new URL('../../examples/cached-site.ts', import.meta.url));
  const env = { ...process.env, PORT: '0', ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }) };
  const site: ChildProcess = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
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
