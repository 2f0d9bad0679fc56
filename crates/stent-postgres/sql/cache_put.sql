-- Keeps a result for equal calls, in place of what was there.
-- Served by the primary key; enters cache_expiry where its time is limited.
INSERT INTO cache (key, value, created_at, expires_at) VALUES ($1::text, $2::bytea, $3::int8, $4::int8)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, created_at = excluded.created_at, expires_at = excluded.expires_at
