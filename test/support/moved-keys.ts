import pg from 'pg';
import { KEYS, type KeyType } from './application.ts';

/** What becomes of keys when PostgreSQL casts their columns to other types, as MikroORM's migrations have it do. */
export class MovedKeys {
  readonly #client: pg.Client;
  readonly #known = new Map<string, Promise<boolean>>();

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async connect(url: string): Promise<MovedKeys> {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(`set timezone to 'UTC'`);
    return new MovedKeys(client);
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  /** Whether a key, as a token has it, finds its row once the column is of another type. */
  isFound(key: unknown, before: KeyType, now: KeyType): Promise<boolean> {
    const name = JSON.stringify([textOf(key), before, now]);
    if (!this.#known.has(name)) this.#known.set(name, this.#ask(textOf(key), before, now));
    return this.#known.get(name)!;
  }

  async #ask(key: string, before: KeyType, now: KeyType): Promise<boolean> {
    // A literal, as MikroORM has it: PostgreSQL reads it as it does the column.
    const literal = pg.escapeLiteral(key);
    const rows = KEYS[before].values.map(textOf);
    const sql = `select bool_or((row::${before})::${now} = ${literal}) as found
      from unnest($1::text[]) as row where row::${before} = ${literal}`;
    try {
      const { rows: answer } = await this.#client.query(sql, [rows]);
      return (answer[0] as { found: boolean | null }).found === true;
    } catch (error) {
      // There is no such cast: whoever migrates writes one.
      return (error as { code?: string }).code === '42846';
    }
  }
}

const textOf = (value: unknown): string => (value instanceof Date ? value.toISOString() : String(value));
