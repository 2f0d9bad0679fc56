-- A task waits for a key no more.
-- Served by the primary key.
DELETE FROM idempotency_line WHERE key = ?1 AND execution_id = ?2 AND task_id = ?3
