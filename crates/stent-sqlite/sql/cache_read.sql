-- What the cache has under a key, over or not.
-- Served by the primary key.
SELECT value, created_at, expires_at FROM cache WHERE key = ?1
