-- The children of a task that have not ended and that it has not had an end of, with their calls.
-- Served by tasks_open.
SELECT call_key, task_id, digest, seen FROM tasks INDEXED BY tasks_open
WHERE execution_id = ?1 AND parent_id = ?2 AND completed_at IS NULL AND detached = 0
