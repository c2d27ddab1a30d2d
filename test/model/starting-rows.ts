import { hasTablePerType } from './entities.ts';
import { driver, type DriverName } from '../support/driver.ts';

/**
 * Empties all tables, and fills them: three rows of each, related in every way. PostgreSQL puts rows where others were
 * deleted, and would hand out people in another order each time: see `LEFT_OUT`.
 */
export const startingRows = (on: DriverName = driver): readonly string[] => [
  ...['person_teams', 'note', 'animal', 'person', 'badge', 'team', 'account'].map((table) => `delete from ${table}`),
  ...(hasTablePerType ? ['car', 'truck', 'vehicle'].map((table) => `delete from ${table}`) : []),
  ...(on === 'postgresql' ? ['vacuum person'] : []),
  `insert into badge (id, code, print) values (1, 'v1', 'v1'), (2, 'v2', null), (3, null, 'v3')`,
  `insert into team (id, title) values (1, 'v1'), (2, 'v2'), (3, null)`,
  `insert into person (id, name, nickname, bio, motto, prefs, mood, spot, address_street, address_memo,
     address_geo_lat, address_geo_zone, settings, history, version, boss_id, home_id, badge_id)
   values
     (1, 'v1', 'v1', 'v1', 'v1', '{"theme":"v1","list":["v1"]}', 'v1', '1:1', 'v1', 'v1', 1, 'v1',
      '{"theme":"v1","size":1}', '[{"theme":"v1","size":1}]', 1, null, 1, 1),
     (2, 'v2', 'v2', null, 'v2', '{"theme":"v2","list":[]}', 'v2', null, 'v2', null, null, null,
      null, '[]', 1, 1, 1, 2),
     (3, 'v3', null, 'v3', null, null, null, '3:3', null, 'v3', null, null, '{"theme":"v3","size":3}', null, 1, 1, null, null)`,
  `insert into note (id, text, draft, owner_id) values (1, 'v1', 'v1', 1), (2, null, 'v2', 1), (3, 'v3', null, 2)`,
  `insert into person_teams (person_id, team_id) values (1, 1), (1, 2), (2, 1)`,
  `insert into account (id, iban, balance, note) values (1, 'v1', 1, 'v1'), (2, 'v2', 2, null), (3, null, null, 'v3')`,
  `insert into animal (id, type, name, owner_id, bark, secret, claws)
   values (1, 'dog', 'v1', 1, 'v1', 'v1', null), (2, 'cat', 'v2', 1, null, null, 2), (3, 'animal', null, null, null, null, null)`,
  ...(hasTablePerType
    ? [
        `insert into vehicle (id, wheels) values (1, 1), (2, 2), (3, null)`,
        `insert into car (id, doors, manual) values (1, 1, 'v1')`,
        `insert into truck (id, cargo) values (2, 2)`,
      ]
    : []),
];
