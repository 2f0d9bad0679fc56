-- The tasks that wait for an event.
-- Served by waits_event.
SELECT DISTINCT execution_id, task_id FROM waits
WHERE kind = 4 AND queue = $1::text AND name = $2::text
ORDER BY execution_id, task_id
