/** The worker process of the demo: `node demo-worker.ts <url>`; SIGTERM lets it finish its jobs. */
import { connect } from './mailing.ts';

const { orm, boss, tasks } = await connect(process.argv[2]!);

process.once('SIGTERM', () => {
  void (async () => {
    await tasks.stop();
    await boss.stop();
    await orm.close();
  })();
});
await tasks.work();
