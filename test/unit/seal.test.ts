import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EntitySerializer, type JsonObject } from 'mikro-orm-byref';
import { type Place, Seal } from '../../src/tasks/seal.ts';
import { domain } from '../../fixtures/domain.ts';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const serializer = new EntitySerializer(offlineOrm(domain), {
  signingKeys: ['a secret of thirty-two bytes, ok'],
  signed: { purpose: 'app' },
});
const seal = new Seal(serializer as never, {});
const lax = new Seal(serializer as never, { signed: { purpose: 'app', queues: ['a'] } });

/** Few names, so that places often meet. */
const text = fc.constantFrom('a', 'b', 'a:b', ':', 'constructor', '__proto__', 'é');
const place = fc.record({ queue: text, name: fc.option(text, { nil: undefined }) });
const written = (): JsonObject => serializer.encode(1, { sign: false });

const closed = ({ queue, name }: Place): JsonObject =>
  seal.close(written(), 'job', { queue, ...(name !== undefined && { name }) });

async function isTaken(open: () => unknown): Promise<boolean> {
  let isGood = true;
  try {
    open();
  } catch {
    isGood = false;
    expect((await failureOf(open)).code).toBe('E_BAD_SIGNATURE');
  }
  return isGood;
}

test('a job is taken where it was sent to and nowhere else; without a name it has that of its queue', () =>
  fc.assert(
    fc.asyncProperty(place, place, async (sent, found) => {
      const isSame = sent.queue === found.queue;
      const isNamed = (sent.name ?? sent.queue) === (found.name ?? sent.queue);
      const job = closed(sent);
      expect(await isTaken(() => seal.openJob(job, found))).toBe(isSame && isNamed);
      expect(await isTaken(() => lax.openJob(job, found))).toBe((isSame || sent.queue === 'a') && isNamed);
    }),
    { numRuns: 500 },
  ));

test('a result is that of its job, a job of an event that of its event, and none is another kind', async () => {
  const [job, result] = [closed({ queue: 'a' }), seal.closeResult(written(), { queue: 'a', id: '1' })];
  const event = seal.close(written(), 'job', { event: 'a' });
  const isOf = ({ queue, id }: { queue: string; id: string }): boolean => queue === 'a' && id === '1';
  const place = { queue: 'a' };
  expect(await isTaken(() => seal.openResult(result, isOf))).toBe(true);
  expect(await isTaken(() => seal.openJob(event, place, new Set(['a'])))).toBe(true);
  expect(await isTaken(() => lax.openJob(event, { queue: 'b' }))).toBe(true);
  for (const open of [
    () => seal.openResult(job, () => true),
    () => seal.openResult(seal.closeResult(written(), { queue: 'a', id: '2' }), isOf),
    () => seal.openResult(serializer.encode(1), () => true),
    () => seal.openJob(result, place),
    () => seal.openJob(event, place),
    () => seal.openJob(event, place, new Set(['b'])),
    () => seal.openJob(serializer.encode(1), place),
  ]) {
    expect(await isTaken(open)).toBe(false);
  }
});

test('another program signs a job by what serialize takes', async () => {
  const sign = { purpose: 'app', expiresAt: null };
  const job = serializer.encode(1, { sign, metadata: { job: { queue: 'mails' } } });
  expect(await isTaken(() => seal.openJob(job, { queue: 'mails' }))).toBe(true);
  expect(await isTaken(() => seal.openJob(job, { queue: 'other' }))).toBe(false);
});

test('no change to any member of a job leaves it a job', () =>
  fc.assert(
    fc.asyncProperty(place, fc.string(), fc.jsonValue(), async (sent, member, value) => {
      const job = closed(sent);
      for (const name of new Set([...Object.keys(job), member])) {
        const tampered = { ...job, [name]: value as never };
        const isSame = JSON.stringify(tampered[name]) === JSON.stringify(job[name]);
        if (!isSame) expect(await isTaken(() => seal.openJob(tampered, sent))).toBe(false);
      }
    }),
    { numRuns: 300 },
  ));
