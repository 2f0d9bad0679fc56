-- The children whose ends (1) a task has in its history.
-- Served by the primary key.
SELECT source FROM records WHERE execution_id = $1::uuid AND task_id = $2::uuid AND kind = 1 AND source IS NOT NULL
