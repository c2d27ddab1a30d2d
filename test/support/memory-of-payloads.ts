/**
 * `node --max-old-space-size=… memory-of-payloads.ts <bytes>`: reads a payload of every kind of content, one after the
 * other, and prints the name of each before. What takes more memory than there is ends the process.
 */
import { writeSync } from 'node:fs';
import type { JsonValue } from 'mikro-orm-byref';
import { envelope, PAYLOAD_CASES, read, serializer } from './payload-cases.ts';

const bytes = Number(process.argv[2]);
for (const [name, { make, options }] of Object.entries(PAYLOAD_CASES)) {
  writeSync(1, `${name}\n`);
  const text = JSON.stringify(envelope(make(bytes)));
  await read(text, options);
  await read(JSON.parse(text) as JsonValue, options);
  serializer.inspect(text);
}
