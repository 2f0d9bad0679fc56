-- Deletes the root of an execution of which nothing else is left.
-- Served by the primary key.
DELETE FROM tasks WHERE execution_id = ?1 AND task_id = ?1
