-- The tasks of an execution that wait for signals of a name, in order of id.
-- Served by waits_signal.
SELECT DISTINCT task_id FROM waits
WHERE kind = 3 AND execution_id = $1::uuid AND name = $2::text
ORDER BY task_id
