-- The end of a child has reached its parent.
-- Served by the primary key; leaves tasks_undelivered.
UPDATE tasks SET undelivered = false WHERE execution_id = $1::uuid AND task_id = $2::uuid AND undelivered
