-- Deletes results whose time is over, the longest over first.
-- Served by cache_expiry and the primary key.
DELETE FROM cache WHERE key IN (SELECT key FROM cache WHERE expires_at <= ?1 ORDER BY expires_at, key LIMIT ?2)
