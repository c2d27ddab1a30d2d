import type { EventSubscriber, MikroORM } from '@mikro-orm/core';

/**
 * Has a subscriber hear of what the EntityManagers of an ORM do: those that share the list of the global one, those
 * that copy it (`em.transactional`), and those that make their own from the configuration (`freshEventManager`). Forks
 * of the last two kinds that are there already don't.
 */
export function subscribe({ em, config }: MikroORM, subscriber: EventSubscriber): void {
  em.getEventManager().registerSubscriber(subscriber);
  // A new list: the application may have given the one that is there to several ORMs.
  const subscribers = new Set([...config.get('subscribers'), subscriber] as EventSubscriber[]);
  config.set('subscribers', [...subscribers]);
}
