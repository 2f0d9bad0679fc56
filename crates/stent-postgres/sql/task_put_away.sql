-- Why a task failed that was put away by hand.
-- Served by the primary key.
UPDATE tasks SET failure = $3::bytea WHERE execution_id = $1::uuid AND task_id = $2::uuid
