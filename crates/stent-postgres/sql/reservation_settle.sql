-- The result of the task that has reserved a key becomes the key's. No row changes if the task has not.
-- Served by the primary key.
UPDATE idempotency SET value = $4::bytea
WHERE key = $1::text AND execution_id = $2::uuid AND task_id = $3::uuid AND value IS NULL
