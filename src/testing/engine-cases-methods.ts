import assert from 'node:assert/strict';
import { Task, type JobContext } from '../tasks/task.ts';
import { Account, type EngineCases, fast, name } from './engine-context.ts';

/** A class with two tasks, decorated by hand: what applies decorators differs, what they do doesn't. */
function mails() {
  const [remind, recount] = [name(), name()];
  class Mails {
    readonly sent: string[] = [];

    async remind({ account }: { account: Account }, job?: JobContext): Promise<{ account: Account; attempt: number }> {
      this.sent.push(account.email);
      if (job?.attempt === 1) throw new Error('failed on purpose');
      return { account, attempt: job?.attempt ?? 0 };
    }

    recount(): number {
      return this.sent.length;
    }
  }
  const decorate = (task: string, method: 'remind' | 'recount'): void =>
    Task(task, { retries: fast })(Mails.prototype, method, Object.getOwnPropertyDescriptor(Mails.prototype, method)!);
  decorate(remind, 'remind');
  decorate(recount, 'recount');
  return { Mails, remind };
}

/** Tasks that are methods. */
export const methods: EngineCases = {
  async 'a method is a task: enqueued by its class, run by a registered instance, with the current row'(context) {
    const { Mails, remind } = mails();
    const tasks = context.tasks();
    const em = context.orm.em.fork();
    const account = await context.account('old@example.org', em);
    // Without an instance.
    const handle = await tasks.of(Mails).remind.delay({ account });
    assert.equal(tasks.of(Mails).remind.taskName, remind);
    account.email = 'new@example.org';
    await em.flush();
    const instance = new Mails();
    tasks.register(instance);
    await tasks.work();
    assert.deepEqual(await context.end(handle), { state: 'completed', attempt: 2 });
    const result = await tasks.of(Mails).remind.handle(handle.id).result({ em: context.orm.em.fork() });
    assert.deepEqual([result!.account.id, result!.attempt], [account.id, 2]);
    assert.deepEqual(instance.sent, ['new@example.org', 'new@example.org']);
    // Called, it is what it was.
    assert.deepEqual(await instance.remind({ account }), { account, attempt: 0 });
    const counted = await tasks.of(Mails).recount.delay();
    assert.equal((await context.end(counted)).state, 'completed');
    assert.equal(await counted.result(), 3);
  },
};
