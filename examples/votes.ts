/**
 * One task for three models: whoever wrote what was voted for is told, be it a question, an answer or a comment.
 * No if over classes, no ids. `npm run build && node examples/votes.ts` runs it without a server.
 */
import { randomBytes } from 'node:crypto';
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { startPostgres } from '../fixtures/postgres.ts';

const content = { id: p.integer().primary(), author: p.string(), score: p.integer().default(0) };
const QuestionSchema = defineEntity({ name: 'Question', properties: { ...content, title: p.string() } });
class Question extends QuestionSchema.class {
  label(): string {
    return `your question "${this.title}"`;
  }
}
QuestionSchema.setClass(Question);

const AnswerSchema = defineEntity({
  name: 'Answer',
  properties: { ...content, question: () => p.manyToOne(Question) },
});
class Answer extends AnswerSchema.class {
  label(): string {
    return `your answer to "${this.question.title}"`;
  }
}
AnswerSchema.setClass(Answer);

const CommentSchema = defineEntity({ name: 'Comment', properties: { ...content, text: p.string() } });
class Comment extends CommentSchema.class {
  label(): string {
    return `your comment "${this.text}"`;
  }
}
CommentSchema.setClass(Comment);

type Votable = Question | Answer | Comment;

const server = await startPostgres();
const clientUrl = Object.assign(new URL(server.url), {
  pathname: `/byref_votes_${randomBytes(4).toString('hex')}`,
}).href;
const orm = new MikroORM({ entities: [Question, Answer, Comment], clientUrl });
await orm.schema.ensureDatabase();
await orm.schema.create();

const tasks = new Tasks(new EntitySerializer(orm), inlineEngine());
const tellAuthor = tasks.define(
  'tell-author',
  async ({ target }: { target: Votable }) => {
    console.log(`${target.author}, ${target.label()} has ${target.score} votes.`);
  },
  { populate: { Answer: ['question'] } },
);
await tasks.work();

const em = orm.em.fork();
const question = em.create(Question, { id: 1, author: 'Ann', title: 'Why?' });
const answer = em.create(Answer, { id: 1, author: 'Bob', question });
const comment = em.create(Comment, { id: 1, author: 'Cleo', text: 'Because.' });
await em.flush();

for (const target of [question, answer, comment]) {
  const told = await em.transactional(async () => {
    target.score++;
    return tellAuthor.delay({ target });
  });
  // Enqueued after the commit, and so told of the score that was committed.
  await told.enqueued;
}

await tasks.stop();
await orm.schema.dropDatabase();
await orm.close();
await server.stop();
process.exit(0);
