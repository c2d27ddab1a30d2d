/**
 * `npm run demo`: a mail job is queued with a user, the user moves, the job runs in another process, through pg-boss.
 * By value it mails the old address, by reference the new one. Then: what a list of 1,000 references costs.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../fixtures/postgres.ts';
import { createOrm, selects } from '../fixtures/orm.ts';
import { Comment, domain, Post, User as Author } from '../fixtures/domain.ts';
import { EntitySerializer } from 'mikro-orm-byref';
import type { JobHandle } from 'mikro-orm-byref/tasks';
import { connect, type Mail, type Mailing, User } from './mailing.ts';

const server = await startPostgres();
const run = randomBytes(4).toString('hex');
try {
  await bobMoves();
  await aThousandReferences();
} finally {
  await server.stop();
}

async function bobMoves(): Promise<void> {
  const url = Object.assign(new URL(server.url), { pathname: `/byref_demo_${run}` }).href;
  const mailing = await connect(url);
  const { orm, boss, sendMail } = mailing;
  try {
    const em = orm.em.fork();
    const bob = em.create(User, {
      id: 1,
      name: 'Bob Dole',
      office: 'President',
      address: '1600 Pennsylvania Avenue',
      biography: 'Born in Russell, Kansas. '.repeat(20),
    });
    await em.flush();

    // Queued on Monday, as a copy and as a reference …
    const subject = 'Your invitation';
    const copy = JSON.parse(JSON.stringify(bob)) as User;
    const byValue = await sendMail.delay({ user: copy, subject });
    const byReference = await sendMail.delay({ user: bob, subject });
    const payloads = await Promise.all([byValue, byReference].map((handle) => payloadOf(mailing, handle)));

    // … on Tuesday he moves …
    bob.address = '1035 North Maple Street, Russell';
    await em.flush();

    // … and on Wednesday a worker runs the jobs.
    const [value, reference] = await work(url, [byValue, byReference]);

    console.log('A mail job was queued with Bob Dole; then he moved; then the job ran in a worker process.\n');
    print([
      ['', 'by value', 'by reference'],
      ['payload', ...payloads.map((payload) => `${Buffer.byteLength(payload)} bytes`)],
      ['queries in the worker', String(value!.queries), String(reference!.queries)],
      ['the mail goes to', value!.text.split('Dole, ')[1]!, reference!.text.split('Dole, ')[1]!],
      ['which is', verdict(value!), verdict(reference!)],
    ]);
    console.log(`\nThe payload by reference: ${payloads[1]}\n`);
    if (verdict(value!) !== 'the old address' || verdict(reference!) !== 'where he lives')
      throw new Error('The story went wrong.');
  } finally {
    await boss.stop();
    await orm.schema.dropDatabase();
    await orm.close();
  }
}

function verdict({ text }: Mail): string {
  return text.includes('Maple Street') ? 'where he lives' : 'the old address';
}

/** A job's data as it is in the queue's table. */
async function payloadOf({ boss }: Mailing, { id }: JobHandle<Mail>): Promise<string> {
  const [job] = await boss.findJobs('send-mail', { id });
  return JSON.stringify(job!.data);
}

/** Starts a worker process, waits for what the jobs return, and lets the worker finish. */
async function work(url: string, handles: readonly JobHandle<Mail>[]): Promise<Mail[]> {
  const script = fileURLToPath(new URL('demo-worker.ts', import.meta.url));
  const worker = spawn(process.execPath, [script, url], { stdio: 'inherit' });
  const mails: Mail[] = [];
  for (const handle of handles) {
    let mail = await handle.result();
    for (; mail === undefined; mail = await handle.result()) {
      if (worker.exitCode !== null) throw new Error(`The worker ended with ${worker.exitCode}.`);
      await sleep(50);
    }
    mails.push(mail);
  }
  worker.kill('SIGTERM');
  const [code] = (await once(worker, 'close')) as [number | null];
  if (code !== 0) throw new Error(`The worker ended with ${code}.`);
  return mails;
}

/** 1,000 references to users, posts and comments, revived at once and one by one. */
async function aThousandReferences(): Promise<void> {
  const { orm, statements, close } = await createOrm(server.url, `byref_demo_list_${run}`, domain);
  try {
    const em = orm.em.fork();
    for (let id = 1; id <= 334; id++) {
      const author = em.create(Author, { id, name: `user ${id}`, email: `user${id}@example.org` });
      const post = em.create(Post, { id, title: `post ${id}`, body: 'text '.repeat(50), author });
      em.create(Comment, { id: BigInt(id), text: 'comment '.repeat(20), post, author });
    }
    await em.flush();
    const models = [Author, Post, Comment];
    const rows = await Promise.all(models.map((model) => em.find(model as typeof Author, {})));
    const list = rows[0]!.flatMap((_, index) => rows.map((column) => column[index]!)).slice(0, 1_000);
    const serializer = new EntitySerializer(orm);
    const payload = serializer.serialize(list);

    const measure = async (revive: () => Promise<unknown[]>): Promise<{ queries: number; ms: number }> => {
      statements.length = 0;
      const startedAt = performance.now();
      const revived = await revive();
      if (revived.some((entity, index) => (entity as Author).id !== list[index]!.id))
        throw new Error('Another list came back.');
      return { queries: selects(statements).length, ms: performance.now() - startedAt };
    };
    const atOnce = () => serializer.deserialize(payload, { em: orm.em.fork() });
    const oneByOne = async () => {
      const found: unknown[] = [];
      for (const { constructor, id } of list)
        found.push(await orm.em.fork().findOneOrFail(constructor as typeof Author, id));
      return found;
    };
    await measure(atOnce);
    const [many, single] = [await measure(atOnce), await measure(oneByOne)];

    console.log('A list of 1,000 references to users, posts and comments comes back:\n');
    print([
      ['', 'queries', 'time'],
      ['one find per reference', single.queries.toLocaleString('en'), `${single.ms.toFixed(0)} ms`],
      ['deserialize()', many.queries.toLocaleString('en'), `${many.ms.toFixed(0)} ms`],
    ]);
    if (many.queries !== models.length) throw new Error('Expected one query per model.');
  } finally {
    await close();
  }
}

/** A table, its first row and column being titles. */
function print(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (left: string, middle: string, end: string): string =>
    `  ${left}${widths.map((width) => '─'.repeat(width + 2)).join(middle)}${end}`;
  const cells = (row: readonly string[]): string =>
    `  │${row.map((cell, column) => ` ${cell.padEnd(widths[column]!)} `).join('│')}│`;
  const [head, ...body] = rows;
  console.log(
    [line('┌', '┬', '┐'), cells(head!), line('├', '┼', '┤'), ...body.map(cells), line('└', '┴', '┘')].join('\n'),
  );
}
