/**
 * `npm run demo`: a mail job is queued with a user, the user moves, the job runs in another process.
 * By value it mails the old address, by reference the new one. Then: what a list of 1,000 references costs.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../fixtures/postgres.ts';
import { createOrm, selects } from '../fixtures/orm.ts';
import { Comment, domain, Post, User as Author } from '../fixtures/domain.ts';
import { EntitySerializer } from 'mikro-orm-byref';
import { connect, User } from './mailing.ts';

interface Outcome {
  readonly mail: string;
  readonly queries: number;
}

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
  const { orm, serializer } = connect(url);
  await orm.schema.ensureDatabase();
  await orm.schema.create();
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

    // Queued on Monday …
    const job = { user: bob, subject: 'Your invitation' };
    const byValue = JSON.stringify(job);
    const byReference = serializer.serialize(job);

    // … on Tuesday he moves …
    bob.address = '1035 North Maple Street, Russell';
    await em.flush();

    // … and on Wednesday a worker runs the job.
    const value = await work('by value', url, byValue);
    const reference = await work('by reference', url, byReference);

    console.log('A mail job was queued with Bob Dole; then he moved; then the job ran in a worker process.\n');
    print([
      ['', 'by value', 'by reference'],
      ['payload', `${byValue.length} bytes`, `${byReference.length} bytes`],
      ['queries in the worker', String(value.queries), String(reference.queries)],
      ['the mail goes to', value.mail.split('Dole, ')[1]!, reference.mail.split('Dole, ')[1]!],
      ['which is', verdict(value), verdict(reference)],
    ]);
    console.log(`\nThe payload by reference: ${byReference}\n`);
    if (verdict(value) !== 'the old address' || verdict(reference) !== 'where he lives')
      throw new Error('The story went wrong.');
  } finally {
    await orm.schema.dropDatabase();
    await orm.close();
  }
}

function verdict({ mail }: Outcome): string {
  return mail.includes('Maple Street') ? 'where he lives' : 'the old address';
}

async function work(mode: string, url: string, payload: string): Promise<Outcome> {
  const worker = spawn(process.execPath, [fileURLToPath(new URL('demo-worker.ts', import.meta.url)), mode, url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  worker.stdin.end(payload);
  return JSON.parse(await text(worker.stdout)) as Outcome;
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

    const measure = async (revive: () => Promise<unknown>): Promise<{ queries: number; ms: number }> => {
      statements.length = 0;
      const startedAt = performance.now();
      await revive();
      return { queries: selects(statements).length, ms: performance.now() - startedAt };
    };
    const atOnce = () => serializer.deserialize(payload, { em: orm.em.fork() });
    const oneByOne = async () => {
      for (const entity of list) await orm.em.fork().findOneOrFail(entity.constructor as typeof Author, entity.id);
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
