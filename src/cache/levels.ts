import { randomUUID } from 'node:crypto';
import { type Once, once } from '../once.ts';
import type { BentoCacheLike } from './bento-like.ts';

/** What a cache is made of: a first level in this process, a second one that others may share. */
export interface Levels {
  readonly hasFirst: boolean;
  readonly hasSecond: boolean;
}

const PROBE_MS = 5_000;

/** bentocache does not tell, so it is tried, once; a second level that can't be reached is there. */
export const levelsOf = (bento: BentoCacheLike): Once<Levels> =>
  once(async () => {
    const key = `byref:level:${randomUUID()}`;
    const life = { ttl: PROBE_MS, grace: false } as const;
    await bento.set({ key, value: 2, ...life, skipBusNotify: true, suppressL2Errors: false });
    await forgetCopy(bento, key);
    const hasSecond = (await bento.get({ key, ...life })) !== undefined;
    await bento.set({ key, value: 1, ...life, ...FIRST_LEVEL });
    return { hasFirst: (await bento.get({ key, ...life })) === 1, hasSecond };
  });

/** For what is to reach the first level of this process alone. */
export const FIRST_LEVEL = { skipL2Write: true, skipBusNotify: true } as const;

/** Makes the first level ask the second one. bentocache deletes there what is set without a life, and does so at once. */
export const forgetCopy = (bento: BentoCacheLike, key: string): Promise<boolean> =>
  bento.set({ key, value: 0, ttl: -1, grace: false, ...FIRST_LEVEL });
