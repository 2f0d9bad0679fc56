-- A free key is reserved for a task, or has the result that the task found in the cache. No row changes if it is not free.
-- Served by the primary key.
INSERT INTO idempotency (key, execution_id, task_id, value, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (key) DO NOTHING
