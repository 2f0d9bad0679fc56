-- A key that nobody has any use for is free.
-- Served by the primary key.
DELETE FROM idempotency WHERE key = $1::text
