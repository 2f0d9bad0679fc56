-- The children of a task that have not ended, in order of id.
-- Served by tasks_open.
SELECT task_id, state, session_id, slot, route_id, CASE WHEN substr(options, 1, 8) = '{"memo":' THEN options END
FROM tasks INDEXED BY tasks_open
WHERE execution_id = ?1 AND parent_id = ?2 AND completed_at IS NULL
ORDER BY task_id
