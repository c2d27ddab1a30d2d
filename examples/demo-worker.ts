/** The worker process of the demo: takes one job from standard input, runs it, and says what it did. */
import { text } from 'node:stream/consumers';
import { connect, mail, type MailJob } from './mailing.ts';

const [mode, url] = process.argv.slice(2);
const payload = await text(process.stdin);
const { orm, serializer, statements } = connect(url!);
await orm.connect();
// What MikroORM asks when it connects is not the job's.
statements.length = 0;

const job =
  mode === 'by reference'
    ? await serializer.deserialize<MailJob>(payload, { em: orm.em.fork() })
    : (JSON.parse(payload) as MailJob);

process.stdout.write(JSON.stringify({ mail: mail(job), queries: statements.length }));
await orm.close();
