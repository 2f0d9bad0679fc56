-- The children of a task whose end it has not had, with their calls.
-- Served by tasks_undelivered.
SELECT call_key, task_id, digest, seen FROM tasks INDEXED BY tasks_undelivered
WHERE execution_id = ?1 AND parent_id = ?2 AND undelivered = 1
