-- How a task ended, for the record of its caller.
-- Served by the primary key.
SELECT state, result, failure FROM tasks WHERE execution_id = $1::uuid AND task_id = $2::uuid
