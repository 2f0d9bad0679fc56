-- A reservation goes to another task.
-- Served by the primary key.
UPDATE idempotency SET execution_id = ?2, task_id = ?3 WHERE key = ?1
