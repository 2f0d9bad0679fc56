-- The tasks of an execution below its root that were cancelled and whose ends wait for no parent, in order of id.
-- Served by the primary key.
SELECT task_id, parent_id, priority, slot, route_id FROM tasks
WHERE execution_id = ?1 AND state = 6 AND undelivered = 0 AND parent_id IS NOT NULL
ORDER BY task_id
