-- Who holds the slots of a function, in order of id.
-- Served by the primary key.
SELECT execution_id, task_id FROM limit_slots WHERE function = $1::text AND task_id IS NOT NULL ORDER BY execution_id, task_id
