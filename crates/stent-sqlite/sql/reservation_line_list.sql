-- Who waits for a key, oldest first.
-- Served by the primary key.
SELECT execution_id, task_id FROM idempotency_line WHERE key = ?1 ORDER BY execution_id, task_id LIMIT ?2
