import { isMikroOrm6 } from '../../fixtures/majors.ts';
import type { ABSENT_FEATURES } from '../other-versions/mikro-orm-6/absent.ts';

/** Whether the MikroORM at hand has what a test is about. */
export const has = (_feature: keyof typeof ABSENT_FEATURES): boolean => !isMikroOrm6;
