-- The tasks of a session that were woken, or ended by others, in order of id.
-- Served by tasks_nudged.
SELECT execution_id, task_id, epoch, state FROM tasks INDEXED BY tasks_nudged
WHERE session_id = ?1 AND (woken <> 0 OR state > 2)
ORDER BY execution_id, task_id
