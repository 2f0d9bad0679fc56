-- Whether the cache has anything.
-- Served by the primary key.
SELECT 1 FROM cache ORDER BY key LIMIT 1
