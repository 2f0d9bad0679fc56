-- The children of a task that have not ended and that it has not had an end of, with their calls.
-- Served by tasks_open.
SELECT call_key, task_id, digest, seen FROM tasks
WHERE execution_id = $1::uuid AND parent_id = $2::uuid AND completed_at IS NULL AND NOT detached
