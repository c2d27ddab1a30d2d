/** The only file that knows private parts of Nest and of @nestjs/bullmq; it says so where they are gone. */
import { BullModule } from '@nestjs/bullmq';
import type { ModulesContainer } from '@nestjs/core';
import type { Worker } from 'bullmq';
import { ByReferenceError } from '../errors.ts';

/** What `BullModule.workerClass` was set to last; the property itself can't be read. */
export function workerClass(): typeof Worker {
  const { _workerClass: current } = BullModule as unknown as { _workerClass?: typeof Worker };
  if (typeof current === 'function') return current;
  throw ByReferenceError.unsupported('This release of @nestjs/bullmq', 'it keeps the class of its workers elsewhere');
}

/**
 * Puts the hooks of a global module before all others. They run by distance, and global modules all have the greatest,
 * in the order of imports.
 */
export function goFirst(modules: ModulesContainer, cls: object): void {
  for (const module of modules.values()) {
    if (module.metatype !== cls) continue;
    if (typeof module.distance !== 'number') {
      throw ByReferenceError.unsupported('This release of @nestjs/core', 'it orders the hooks of modules in a new way');
    }
    module.distance = Infinity;
  }
}
