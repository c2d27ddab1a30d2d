/** The codec alone, on a payload of many types, and signatures: neither asks the database. */
import { deepStrictEqual } from 'node:assert/strict';
import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from 'mikro-orm-byref';
import { decode } from '../dist/codec/decode.js';
import { Signer } from '../dist/wire/signing.js';
import { User } from '../fixtures/domain.ts';
import { race, type Race } from './measure.ts';

export interface ValueRaces {
  /** `encode` against `stringify`, `decode` against `parse`. */
  readonly codec: Race;
  /** `sign` and `verify` of one token. */
  readonly signing: Race;
}

/** 100 items with an entity and a date each, a Map, a Set and a bigint. */
function mixedPayload(em: EntityManager) {
  const items = Array.from({ length: 100 }, (_, index) => ({
    user: em.getReference(User, index + 1),
    due: new Date(Date.UTC(2026, 10, 21) + index * 86_400_001),
    note: `item ${index}`,
    amount: index * 1.5,
  }));
  const prices = Array.from({ length: 10 }, (_, index) => [`product ${index}`, index] as [string, number]);
  const tags = ['a', 'b', 'c', 'd', 'e'];
  return { items, prices: new Map(prices), tags: new Set(tags), serial: 9_007_199_254_740_993n };
}

export async function benchValues(
  serializer: EntitySerializer,
  globalEm: EntityManager,
  rounds: number,
): Promise<ValueRaces> {
  const payload = mixedPayload(globalEm.fork());
  const users = new Map(payload.items.map(({ user }) => [user.id, user]));
  const text: string = serializer.serialize(payload);
  // What JSON can do with it when the tokens are there already: dates it knows, the rest is made for it.
  const plain = {
    items: payload.items.map((item) => ({ ...item, user: { $entity: ['User', item.user.id] } })),
    prices: [...payload.prices],
    tags: [...payload.tags],
    serial: String(payload.serial),
  };
  const plainText = JSON.stringify(plain);

  const decoded = (): unknown => {
    const { slots, fill } = decode((JSON.parse(text) as { data: unknown }).data, noClasses, undefined, true);
    for (const slot of slots) slot.value = users.get(slot.key as number);
    return fill();
  };
  deepStrictEqual(decoded(), payload);

  const codec = await race(
    [
      { name: 'encode', run: () => serializer.serialize(payload) },
      { name: 'stringify', run: () => JSON.stringify(plain) },
      { name: 'decode', run: decoded },
      { name: 'parse', run: () => JSON.parse(plainText) as unknown },
    ],
    rounds,
  );

  const signer = new Signer(['a secret of thirty-two bytes, ok']);
  const token = serializer.token(globalEm.fork().getReference(User, 123));
  const options = { purpose: 'reset', expiresInMs: 60_000 };
  const signed = signer.signToken(token, options);
  const signing = await race(
    [
      { name: 'sign', run: () => signer.signToken(token, options) },
      { name: 'verify', run: () => signer.verifyToken(signed, 'reset') },
    ],
    rounds,
  );
  return { codec, signing };
}

const noClasses = {
  value(): never {
    throw new Error('there is no value object in here');
  },
  snapshot(): never {
    throw new Error('there is no copy in here');
  },
};
