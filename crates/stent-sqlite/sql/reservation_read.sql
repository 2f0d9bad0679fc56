-- Who has reserved a key, or whose result it has, and that result.
-- Served by the primary key.
SELECT execution_id, task_id, value FROM idempotency WHERE key = ?1
