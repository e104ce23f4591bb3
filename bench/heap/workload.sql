-- SPDX-License-Identifier: BSD-2-Clause
-- What the SQLite of the trace does, all in memory.
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, town TEXT, born INTEGER);
CREATE INDEX by_town ON person (town, born);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
	INSERT INTO person SELECT i, printf('name %d of %x', i, i * 7919 % 65537),
		printf('town %d', i * 31 % 997), 1900 + i % 100 FROM n;
SELECT town, count(*), avg(born), group_concat(name, ';') FROM person GROUP BY town ORDER BY 3, 1;
SELECT a.name, b.name FROM person a JOIN person b ON a.town = b.town AND a.born < b.born
	WHERE a.id % 50 = 0 ORDER BY a.name || b.name;
UPDATE person SET name = replace(name, 'name', 'the name that is longer') WHERE id % 3 = 0;
DELETE FROM person WHERE id % 7 < 3;
SELECT json_group_array(json_object('id', id, 'name', name, 'town', town)) FROM person WHERE born > 1990;
