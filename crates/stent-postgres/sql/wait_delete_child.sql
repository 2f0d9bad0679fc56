-- Forgets what a task registered to wait for one child.
-- Served by waits_child.
DELETE FROM waits WHERE execution_id = $1::uuid AND task_id = $2::uuid AND kind = 1 AND child_id = $3::uuid
