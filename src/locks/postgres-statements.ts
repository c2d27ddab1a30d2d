/** What a session that holds locks says to PostgreSQL. Without parameters, which would take more messages. */

/** What Linux takes. */
const MAX_PROBE_SECONDS = 32_767;

/** What PostgreSQL takes. */
const MAX_SETTING = 2 ** 31 - 1;

/**
 * Lets the server notice by itself, within about three times `heartbeatMs`, that nobody is there any more: not before the
 * holder has, for whom it takes two. `tcp_user_timeout` is for what the server has sent meanwhile, which nobody confirms.
 * A setting that the server does not know is left out; connections that are no TCP ignore them.
 */
export function keepalives(heartbeatMs: number): string {
  const seconds = Math.min(Math.ceil(heartbeatMs / 1_000), MAX_PROBE_SECONDS);
  return setAll({
    tcp_keepalives_idle: seconds,
    tcp_keepalives_interval: seconds,
    tcp_keepalives_count: 2,
    tcp_user_timeout: Math.min(3 * heartbeatMs, MAX_SETTING),
  });
}

/** A token is on the disk before its holder hears of it. Where commits wait for more than that, so does it. */
export const DURABLE =
  "select set_config(name, 'local', false) from pg_settings where name = 'synchronous_commit' and setting = 'off'";

/** One row, if the sequence is there and gives every session a greater number than the last. */
export const growing = (sequence: string): string =>
  `select from pg_sequence where seqrelid = to_regclass(${literal(sequence)}) and seqincrement > 0 and seqcache = 1 and not seqcycle`;

/**
 * Tries to take a lock: `held`, and with a sequence `token`.
 *
 * The number is drawn while the lock is held, so the next holder's is greater. A sequence alone would do with one write
 * ahead for 32 numbers, and the commit of a session that got one of the others waits for no write: after a crash they
 * would be given out again. So the token is put into the log as a message, after the number was drawn; the commit writes
 * the log up to there.
 */
export const tryLock = (holder: string, sequence: string | undefined): string =>
  sequence === undefined
    ? `select pg_try_advisory_lock('${holder}') as held`
    : `select token is not null as held, token, pg_logical_emit_message(true, 'mikro-orm-byref', token) from (select case when pg_try_advisory_lock('${holder}') then nextval(${literal(sequence)})::text end as token offset 0) as granted`;

const setAll = (settings: Readonly<Record<string, number>>): string => {
  const values = Object.entries(settings).map(([name, value]) => `('${name}', '${value}')`);
  return `select set_config(name, wanted, false) from (values ${values.join(', ')}) as settings (name, wanted) join pg_settings using (name)`;
};

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
