-- Whether the cache has results whose time is over.
-- Served by cache_expiry.
SELECT 1 FROM cache WHERE expires_at <= $1::int8 LIMIT 1
