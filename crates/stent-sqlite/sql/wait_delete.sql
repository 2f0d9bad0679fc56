-- Forgets a wait.
-- Served by the primary key.
DELETE FROM waits WHERE execution_id = ?1 AND task_id = ?2 AND call_key = ?3
RETURNING kind, name
