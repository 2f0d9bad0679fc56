-- The tasks whose time has come, earliest first.
-- Served by tasks_due.
SELECT execution_id, task_id, state FROM tasks INDEXED BY tasks_due
WHERE due IS NOT NULL AND due <= ?1
ORDER BY due, execution_id, task_id
LIMIT ?2
