-- Who owns a task at the moment.
-- Served by the primary key.
SELECT session_id FROM tasks WHERE execution_id = $1::uuid AND task_id = $2::uuid
