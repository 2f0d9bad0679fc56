-- Takes a dead letter away.
-- Served by the primary key.
DELETE FROM dead_letters WHERE execution_id = $1::uuid AND task_id = $2::uuid
