-- The tasks of a session that were woken, or ended by others, in order of id.
-- Served by tasks_nudged.
SELECT execution_id, task_id, epoch, state FROM tasks
WHERE session_id = $1::uuid AND (woken OR state > 2)
ORDER BY execution_id, task_id
