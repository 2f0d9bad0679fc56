-- Deletes results whose time is over, the longest over first.
-- Served by cache_expiry and the primary key.
DELETE FROM cache c USING (
    SELECT key FROM cache WHERE expires_at <= $1::int8 ORDER BY expires_at, key LIMIT $2::int8 FOR UPDATE SKIP LOCKED
) AS over
WHERE c.key = over.key
