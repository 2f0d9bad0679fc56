-- A free key is reserved for a task, or has the result that the task found in the cache. No row changes if it is not free;
-- waits for whoever reserves it now.
-- Served by the primary key.
INSERT INTO idempotency (key, execution_id, task_id, value, created_at)
VALUES ($1::text, $2::uuid, $3::uuid, $4::bytea, $5::int8)
ON CONFLICT (key) DO NOTHING
