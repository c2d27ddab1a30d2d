/** What the producer and the worker of the demo share: the entity, the ORM, and the job. */
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';

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

export interface MailJob {
  readonly user: User;
  readonly subject: string;
}

export function connect(url: string): { orm: MikroORM; serializer: EntitySerializer; statements: string[] } {
  const statements: string[] = [];
  const logger = (message: string): void => void statements.push(message);
  const orm = new MikroORM({ entities: [User], clientUrl: url, debug: ['query'], logger });
  return { orm, serializer: new EntitySerializer(orm), statements };
}

/** The job itself. It does not know how its user came to it. */
export const mail = ({ user, subject }: MailJob): string => `"${subject}" to ${user.name}, ${user.address}`;
