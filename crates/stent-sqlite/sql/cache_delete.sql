-- Deletes what the cache has under a key.
-- Served by the primary key.
DELETE FROM cache WHERE key = ?1
