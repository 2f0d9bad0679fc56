-- Whether there is a dead letter of a task.
-- Served by the primary key.
SELECT 1 FROM dead_letters WHERE execution_id = $1::uuid AND task_id = $2::uuid
