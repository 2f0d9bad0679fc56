-- The waits of a task, in order of key.
-- Served by the primary key.
SELECT call_key, kind, due, queue, name, child_id, number, seen FROM waits
WHERE execution_id = ?1 AND task_id = ?2
ORDER BY call_key
