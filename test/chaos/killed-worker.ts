/** `node killed-worker.ts <url>`: works until it is killed. */
import { connect } from './pg-boss-system.ts';

// The restart may fall into the start: then the next worker is on its way.
process.on('unhandledRejection', () => process.exit(1));
const { tasks } = await connect(process.argv[2]!);
await tasks.work();
