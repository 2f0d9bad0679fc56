-- What a session owns, in order of id.
-- Served by tasks_owned.
SELECT execution_id, task_id FROM tasks WHERE session_id = $1::uuid
ORDER BY execution_id, task_id
LIMIT $2::int8
