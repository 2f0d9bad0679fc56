-- Whether a place in the history of a task is taken.
-- Served by the primary key.
SELECT 1 FROM records WHERE execution_id = $1::uuid AND task_id = $2::uuid AND seq = $3::int8
