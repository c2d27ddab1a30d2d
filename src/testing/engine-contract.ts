import { failures } from './engine-cases-failures.ts';
import { methods } from './engine-cases-methods.ts';
import { queueing } from './engine-cases-queueing.ts';
import { running } from './engine-cases-running.ts';
import { signed } from './engine-cases-signed.ts';
import { transactions } from './engine-cases-transactions.ts';
import { upgrades } from './engine-cases-upgrades.ts';
import { type ContractCase, Context, type EngineSetup } from './engine-context.ts';

/** What every engine must do, as cases for its tests. Some need DTOs: import `mikro-orm-byref/class-transformer` beside. */
export function engineContract(setup: () => EngineSetup): readonly ContractCase[] {
  return Object.entries({
    ...running,
    ...failures,
    ...signed,
    ...transactions,
    ...queueing,
    ...upgrades,
    ...methods,
  }).map(([name, run]) => ({
    name,
    run: () => inContext(setup(), run),
  }));
}

async function inContext(setup: EngineSetup, run: (context: Context) => Promise<void>): Promise<void> {
  const context = new Context(setup, await setup.engine());
  try {
    await run(context);
  } finally {
    await context.stop();
  }
}
