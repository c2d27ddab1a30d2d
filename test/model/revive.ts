/** A revive as a program has it, and as the library is called. */
import { ByReferenceError, type DeserializeOptions, type Drift } from 'mikro-orm-byref';
import { type Authorizer, authorizing } from './asked.ts';
import type { Token } from './versions.ts';
import type { View, World } from './world.ts';

export type ReviveOptions = Pick<
  DeserializeOptions,
  'freshness' | 'unflushed' | 'populate' | 'missing' | 'lockMode' | 'parallel' | 'only' | 'filters'
> & {
  /** `tell` is a callback. */
  readonly drift?: 'ignore' | 'throw' | 'tell';
  readonly authorize?: Authorizer;
};

/** What its callbacks are told. */
export interface Told {
  readonly drifts: Drift[];
  /** The rows that `authorize` is asked about, as they are then. */
  readonly asked: View[];
}

export async function revive(
  world: World,
  tokens: readonly Token[],
  { drift, authorize, ...options }: ReviveOptions,
  { drifts, asked }: Told = { drifts: [], asked: [] },
): Promise<unknown> {
  const payload = { $byref: 1, data: tokens.map((token) => ({ $entity: token })) };
  const policy = drift === 'tell' ? (it: Drift) => void drifts.push(it) : drift;
  try {
    return await world.serializer.decode(payload as never, {
      em: world.em,
      ...options,
      ...(policy !== undefined && { drift: policy }),
      ...(authorize !== undefined && { authorize: authorizing(authorize, asked) }),
    });
  } catch (error) {
    if (error instanceof ByReferenceError) return error;
    throw error;
  }
}
