import { expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { expectModelNames } from 'mikro-orm-byref/testing';
import { domain } from '../../fixtures/domain.ts';
import { offlineOrm } from '../support/offline-orm.ts';

const serializer = new EntitySerializer(offlineOrm(domain));

test('expectModelNames passes for exactly these names, in any order', () => {
  expectModelNames(serializer, ['User', 'Tag', 'Post', 'Comment']);
});

test('expectModelNames names what is missing and what is new', () => {
  expect(() => expectModelNames(serializer, ['User', 'Tag', 'Post', 'Reply'])).toThrow(
    /missing Reply; unexpected Comment; .*aliases/,
  );
  expect(() => expectModelNames(serializer, ['User', 'Tag', 'Post'])).toThrow(/changed: unexpected Comment; /);
});
