-- Whether the cache has anything: one step from its beginning.
-- Served by the primary key.
SELECT 1 FROM cache ORDER BY key LIMIT 1
