/** What the producer and the worker of the demo share: the entity, the ORM, the job engine, and the task. */
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Task, Tasks } from 'mikro-orm-byref/tasks';
import { PgBoss } from 'pg-boss';

const UserSchema = defineEntity({
  name: 'User',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    office: p.string(),
    address: p.string(),
    biography: p.text(),
  },
});

export class User extends UserSchema.class {}
UserSchema.setClass(User);
// false: JSON.stringify(user) stays by value, so that the demo can show both ways.
ByReference({ toJSON: false })(User);

export interface Mail {
  readonly text: string;
  /** Queries for the user that this job took. */
  readonly queries: number;
}

export interface Mailing {
  readonly orm: MikroORM;
  readonly boss: PgBoss;
  readonly tasks: Tasks;
  readonly sendMail: Task<{ user: User; subject: string }, Mail>;
}

export async function connect(url: string): Promise<Mailing> {
  let statements: string[] = [];
  const logger = (message: string): void => void statements.push(message);
  const orm = new MikroORM({ entities: [User], clientUrl: url, debug: ['query'], logger });
  await orm.schema.ensureDatabase();
  await orm.schema.update({ safe: true });
  const boss = await new PgBoss({ connectionString: url, supervise: false, schedule: false }).start();

  const tasks = new Tasks(new EntitySerializer(orm), pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }));
  // The job itself. It does not know how its user came to it.
  const sendMail = tasks.define('send-mail', async ({ user, subject }: { user: User; subject: string }) => {
    const queries = statements.filter((statement) => statement.includes('from "user"')).length;
    statements = [];
    return { text: `"${subject}" to ${user.name}, ${user.address}`, queries };
  });
  return { orm, boss, tasks, sendMail };
}
