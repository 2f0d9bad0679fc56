-- Empties the cache, so many results at once, in order of key: read from its beginning.
-- Served by the primary key.
DELETE FROM cache WHERE key IN (SELECT key FROM cache ORDER BY key LIMIT ?1)
