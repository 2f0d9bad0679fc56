-- The children of a task whose end it has not had, with their calls.
-- Served by tasks_undelivered.
SELECT call_key, task_id, digest, seen FROM tasks
WHERE execution_id = $1::uuid AND parent_id = $2::uuid AND undelivered
