-- The end of a child has reached its parent.
-- Served by the primary key; leaves tasks_undelivered.
UPDATE tasks SET undelivered = 0 WHERE execution_id = ?1 AND task_id = ?2
