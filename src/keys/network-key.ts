import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { type KeyColumn, text } from './key-column.ts';

/** `10.0.0.1` and `10.0.0.1/32` are one address; 10.0.0.1/8 is another. */
export const inet: KeyColumn = text('an IP address', (value) => normalAddress(value, false));

/** A network: no bits to the right of its mask. */
export const cidr: KeyColumn = text('a network like 10.0.0.0/8', (value) => normalAddress(value, true));

function normalAddress(value: string, isNetwork: boolean): string | undefined {
  const match = /^([\da-f:.]+)(?:\/(\d{1,3}))?$/i.exec(value);
  if (match === null) return undefined;
  const [, address, mask] = match;
  const size = isIPv4(address!) ? 32 : isIPv6(address!) ? 128 : 0;
  const bits = Number(mask ?? size);
  if (size === 0 || bits > size || (isNetwork && hasHostBits(address!, size, bits))) return undefined;
  const normal = size === 32 ? address! : compressed(address!);
  return bits < size || isNetwork ? `${normal}/${bits}` : normal;
}

const compressed = (address: string): string => new SocketAddress({ family: 'ipv6', address }).address;

function hasHostBits(address: string, size: number, bits: number): boolean {
  const value = size === 32 ? numberOf(address.split('.'), 8n, 10) : numberOf(groupsOf(compressed(address)), 16n, 16);
  return BigInt.asUintN(size - bits, value) !== 0n;
}

const numberOf = (parts: readonly string[], width: bigint, radix: number): bigint =>
  parts.reduce((sum, part) => (sum << width) | BigInt(Number.parseInt(part, radix)), 0n);

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): string[] {
  const [head, tail] = address.split('::').map((half) => half.split(':').flatMap(groupOf)) as [string[], string[]?];
  return tail === undefined
    ? head
    : [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail];
}

/** The last part of an address may be written as IPv4. */
function groupOf(part: string): string[] {
  if (part === '') return [];
  const bytes = part.split('.').map(Number);
  if (bytes.length !== 4) return [part];
  return [(bytes[0]! << 8) | bytes[1]!, (bytes[2]! << 8) | bytes[3]!].map((group) => group.toString(16));
}

/** `08:00:2b:01:02:03` in each of PostgreSQL's spellings. */
export const macAddress: KeyColumn = text('a MAC address', (value) => normalMac(value, 6));

/** The same with eight bytes; of six it makes eight. */
export const macAddress8: KeyColumn = text('a MAC address of eight bytes', (value) => {
  const short = normalMac(value, 6);
  return short === undefined ? normalMac(value, 8) : `${short.slice(0, 8)}:ff:fe${short.slice(8)}`;
});

function normalMac(value: string, bytes: number): string | undefined {
  if (!/^[\da-f]+(?:([:.-])[\da-f]+(?:\1[\da-f]+)*)?$/i.test(value)) return undefined;
  const parts = value.toLowerCase().split(/[:.-]/);
  const digits = (bytes * 2) / parts.length;
  if (!Number.isInteger(digits) || digits === 1 || parts.some((part) => part.length !== digits)) return undefined;
  return parts.join('').match(/../g)!.join(':');
}

/** Bits as PostgreSQL writes them; as text it also takes `b101` and `x1f`. */
export const bits: KeyColumn = text('a string of 0 and 1', (value) => {
  if (/^[xX][\da-fA-F]*$/.test(value)) {
    return value.slice(1).replace(/./g, (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, '0'));
  }
  const digits = value.replace(/^[bB]/, '');
  return /^[01]*$/.test(digits) ? digits : undefined;
});
