-- What a session owns, in order of id.
-- Served by tasks_owned.
SELECT execution_id, task_id FROM tasks INDEXED BY tasks_owned
WHERE session_id = ?1
ORDER BY execution_id, task_id
LIMIT ?2
