-- Empties the cache, so many results at once, in order of key: read from its beginning.
-- Served by the primary key.
DELETE FROM cache c USING (SELECT key FROM cache ORDER BY key LIMIT $1::int8 FOR UPDATE SKIP LOCKED) AS first
WHERE c.key = first.key
