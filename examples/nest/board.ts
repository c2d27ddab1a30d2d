import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Queue } from 'bullmq';
import { prefix, redis } from './settings.ts';

/** Bull Board, at /board: jobs as they are stored, tokens and no copies of rows. */
@Injectable()
export class Board implements OnApplicationShutdown {
  static readonly PATH = '/board';
  private readonly queue = new Queue('shop', { connection: redis, prefix });

  router() {
    const serverAdapter = new ExpressAdapter().setBasePath(Board.PATH);
    createBullBoard({ queues: [new BullMQAdapter(this.queue)], serverAdapter });
    return serverAdapter.getRouter();
  }

  async onApplicationShutdown() {
    await this.queue.close();
  }
}
