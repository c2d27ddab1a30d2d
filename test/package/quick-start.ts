import { strict as assert } from 'node:assert';
import mikroOrm6 from '../other-versions/mikro-orm-6/package.json' with { type: 'json' };
import { type Example, examples } from '../support/examples.ts';
import { run } from './project.ts';

/** The README's first example, which both majors of MikroORM run. */
export const quickStart: Example = examples[0]!;

/** MikroORM 6 as an argument of `npm install`: the version that all else is tested with. */
export const mikroOrm6Of = (name: keyof typeof mikroOrm6.dependencies): string =>
  `${name}@${mikroOrm6.dependencies[name]}`;

/** Runs what was made of an example. */
export async function runExample(
  { prints }: Example,
  cwd: string,
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const output = await run(cwd, file, args, env);
  assert.deepEqual(output.trimEnd().split('\n'), prints, `${file} ${args.join(' ')} prints something else`);
  process.stdout.write(`  ${args.join(' ')}\n`);
}
