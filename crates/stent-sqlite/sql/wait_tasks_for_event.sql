-- The tasks that wait for an event.
-- Served by waits_event.
SELECT DISTINCT execution_id, task_id FROM waits INDEXED BY waits_event
WHERE kind = 4 AND queue = ?1 AND name = ?2
ORDER BY execution_id, task_id
