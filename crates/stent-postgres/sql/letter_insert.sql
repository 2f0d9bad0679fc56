-- Puts a failed task away as a dead letter.
-- Served by the primary key; enters dead_letters_age.
INSERT INTO dead_letters (execution_id, task_id, moved_at) VALUES ($1::uuid, $2::uuid, $3::int8)
ON CONFLICT (execution_id, task_id) DO UPDATE SET moved_at = excluded.moved_at
