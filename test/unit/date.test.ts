import { expect, test } from '@jest/globals';
import { readDate } from '../../src/wire/values/date.ts';

const two = (n: number): string => String(n).padStart(2, '0');

test('a date is read exactly where toISOString() wrote it', () => {
  const texts = ['0000', '0999', '1000', '1900', '1970', '2000', '2023', '2024', '2100', '9999', '+010000', '-000001', '+002024', '-000000']; // prettier-ignore
  for (const year of texts) {
    for (let month = 0; month <= 13; month++) {
      for (let day = 0; day <= 39; day++) {
        const text = `${year}-${two(month)}-${two(day)}T23:59:58.007Z`;
        const value = new Date(text);
        const isWritten = !Number.isNaN(value.getTime()) && value.toISOString() === text;
        expect([text, readDate(text)]).toEqual([text, isWritten ? value : undefined]);
      }
    }
  }
});

test.each([
  '2026-11-21T24:00:00.000Z',
  '2026-11-21T12:60:00.000Z',
  '2026-11-21T12:00:60.000Z',
  '2026-11-21T12:00:00.000',
  '2026-11-21T12:00:00Z',
  '2026-11-21T12:00:00.0000Z',
  '2026-11-21 12:00:00.000Z',
  '2026-11-21T12:00:00.000z',
  '2026-11-21T12:00:00.000+00:00',
  ' 2026-11-21T12:00:00.000Z',
  '2026-11-21T12:00:00.000Z\n',
  '20é6-11-21T12:00:00.000Z',
  '',
  1,
  null,
])('%j is none', (body) => {
  expect(readDate(body)).toBeUndefined();
});
