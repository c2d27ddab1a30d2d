import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { domain, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { describeWith } from '../support/test-with.ts';

const script = join(import.meta.dirname, '../support/nest-terminated.ts');
let database: TestOrm;

describeWith('redis-server')('SIGTERM with enableShutdownHooks', () => {
  beforeAll(async () => {
    database = await openDatabase(domain);
    const user = { id: 1, name: 'Ann', email: 'ann@example.org', version: 1, updatedAt: new Date() };
    await database.orm.em.fork().insert(User, user);
  });
  afterAll(() => database.close());

  describe.each(['first', 'last'])('where ByReferenceModule is imported %s', (place) => {
    test('ends jobs, then requests, then tasks and locks, then the ORM, and the process', async () => {
      const args = [
        '--disable-warning=ExperimentalWarning',
        script,
        database.url,
        process.env['TEST_REDIS_URL']!,
        place,
      ];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 });
      const [output, [, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
      const lines = output.trimEnd().split('\n');
      const ended = ['the processor', 'the task', 'the request'].map((part) => `${part} has ended: ann@example.org`);
      const order = [
        ...ended.flatMap((end) => [
          [end, 'the tasks have stopped'],
          [end, 'the locks are closed'],
        ]),
        ['answered', 'the tasks have stopped'],
        ['the tasks have stopped', 'the ORM is closed'],
        ['the locks are closed', 'the ORM is closed'],
      ] as const;
      expect(lines.toSorted()).toEqual([...new Set(order.flat())].toSorted());
      expect(order.filter(([before, after]) => lines.indexOf(before) > lines.indexOf(after))).toEqual([]);
      expect(signal).toBe('SIGTERM');
    });
  });
});
