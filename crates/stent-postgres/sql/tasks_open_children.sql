-- The children of a task that have not ended, with their owners.
-- Served by tasks_open.
SELECT task_id, session_id FROM tasks
WHERE execution_id = $1::uuid AND parent_id = $2::uuid AND completed_at IS NULL
