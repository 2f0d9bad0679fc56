-- Whether a task has reserved a key; if so, nobody reads it to wait for it until the batch ends.
-- Served by the primary key.
SELECT 1 FROM idempotency
WHERE key = $1::text AND execution_id = $2::uuid AND task_id = $3::uuid AND value IS NULL
FOR UPDATE
