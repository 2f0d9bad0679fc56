-- Nobody waits for a key any more.
-- Served by the primary key.
DELETE FROM idempotency_line WHERE key = $1::text
