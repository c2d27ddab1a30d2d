/** A processor that BullMQ runs in a process of its own, with an ORM of its own. */
import type { SandboxedJob } from 'bullmq';
import { EntitySerializer } from 'mikro-orm-byref';
import { byReferenceProcessor } from 'mikro-orm-byref/bullmq';
import { domain, type User } from '../../fixtures/domain.ts';
import { makeOrm } from '../../fixtures/majors.ts';

const orm = makeOrm({ entities: domain, clientUrl: process.env['SANDBOX_DATABASE_URL']! });
const secret = process.env['SANDBOX_SECRET'];
const serializer = new EntitySerializer(
  orm,
  secret === undefined ? {} : { signingKeys: [secret], signed: { purpose: 'app' } },
);

export default byReferenceProcessor(serializer, async (job: SandboxedJob<{ user: User }>, _token, signal) => {
  const { user } = job.data;
  await job.updateProgress({ reading: user } as never);
  await job.updateData({ user, seen: user.email } as never);
  return { user, email: user.email, pid: process.pid, aborted: signal?.aborted };
});
