/** `npm run test:long`: what CI runs short, at length. An hour or so; the benchmark wants a machine to itself. */
import { spawnSync } from 'node:child_process';

const LONG: readonly (readonly [command: string, env?: NodeJS.ProcessEnv])[] = [
  ['node test/chaos/killed-workers.ts 10000'],
  ['node test/chaos/outages.ts 5000'],
  ['node test/chaos/caches.ts 120'],
  ['node test/chaos/outbox.ts 100000'],
  ['node test/chaos/outbox.ts 10000 mariadb'],
  ['npm run -s jest -- test/property/fuzz', { FUZZ_MINUTES: '20' }],
  ['npm run -s jest -- test/model', { MODEL_COMMANDS: '100000' }],
  ['node bench/run.ts'],
];

const failed = LONG.filter(([command, env]) => {
  console.log(`> ${command}`);
  return spawnSync(command, { shell: true, stdio: 'inherit', env: { ...process.env, ...env } }).status !== 0;
});
for (const [command] of failed) console.error(`Failed: ${command}`);
process.exitCode = failed.length > 0 ? 1 : 0;
