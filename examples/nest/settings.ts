/** What start.ts has started; in production, your own. */
export const databaseUrl = process.env['DATABASE_URL']!;
export const redis = { url: process.env['REDIS_URL']! };
/** Before the names of all keys in Redis. */
export const prefix = new URL(databaseUrl).pathname.slice(1);
export const signingKeys = [process.env['SIGNING_KEY']!];
