import assert from 'node:assert/strict';
import { describeProperty, referenceProperty } from '../models/reference-property.ts';
import type { EntitySerializerOptions } from '../options.ts';
import type { TaskOptions, Upgrades } from '../tasks/task.ts';
import { Account, type Context, type EngineCases, enqueueRaw, fast, name, signing } from './engine-context.ts';

/** The arguments of one task in three releases. */
class Greeting1 {
  declare account: Account;
}

class Greeting2 {
  declare account: Account;
  declare words: string;
}

class Greeting3 {
  declare to: Account;
  declare words: string[];

  get text(): string {
    return `${this.words.join(' ')}, ${this.to.email}`;
  }
}

const account = referenceProperty(() => Account);

for (const [cls, properties] of [
  [Greeting1, { account }],
  [Greeting2, { account, words: {} }],
  [Greeting3, { to: account, words: {} }],
] as const) {
  for (const [property, description] of Object.entries(properties)) describeProperty(cls, property, description);
}

const upgrade: Upgrades<Greeting3, Greeting2, readonly [Greeting2, Greeting1]> = [
  { from: Greeting2, to: (old) => Object.assign(new Greeting3(), { to: old.account, words: old.words.split(' ') }) },
  {
    from: Greeting1,
    to: async (old) => Object.assign(new Greeting2(), { account: old.account, words: 'good day' }),
  },
];

const releases = [
  { as: Greeting1, make: (to: Account) => ({ account: to }), text: 'good day' },
  { as: Greeting2, make: (to: Account) => ({ account: to, words: 'hello there' }), text: 'hello there' },
  { as: Greeting3, make: (to: Account) => ({ to, words: ['hi'] }), text: 'hi' },
];

/** What earlier releases have enqueued: needs class-transformer. */
export const upgrades: EngineCases = {
  'upgrade: jobs of three releases run as those of the last, in a retry as well': (context) => runsAll(context),

  'upgrade: signed jobs too': (context) => runsAll(context, signing),

  async 'upgrade: a job of none of the shapes is discarded, for what the last one says'(context) {
    const queue = name();
    const tasks = context.tasks();
    const task = tasks.define(queue, async (_greeting: Greeting3) => assert.fail('it ran'), { as: Greeting3, upgrade });
    const handle = task.handle(await enqueueRaw(context.engine, queue, { $byref: 1, data: { words: ['hi'] } }));
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'failed', attempt: 1 });
    await assert.rejects(handle.result(), /E_MALFORMED|Greeting3/);
  },
};

async function runsAll(context: Context, options: EntitySerializerOptions = {}): Promise<void> {
  const queue = name();
  const handles = [];
  for (const [index, { as, make }] of releases.entries()) {
    const release = context.tasks(options).define(queue, async () => assert.fail('it ran'), { as, retries: fast });
    handles.push(await release.delay(make(await context.account(`old${index}@example.org`))));
  }
  await context.orm.em.fork().nativeUpdate(Account, {}, { email: 'new@example.org' });
  const tasks = context.tasks(options);
  const settings = { as: Greeting3, upgrade, retries: fast } satisfies TaskOptions;
  const task = tasks.define(
    queue,
    async (greeting: Greeting3, job) => {
      if (job.attempt === 1) throw new Error('failed on purpose');
      return greeting.text;
    },
    settings,
  );
  await tasks.work();
  for (const [index, { id }] of handles.entries()) {
    const handle = task.handle(id);
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 2 });
    assert.equal(await handle.result(), `${releases[index]!.text}, new@example.org`);
  }
}
