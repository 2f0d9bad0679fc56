-- A task that waits for a key holds no slot.
-- Served by the primary key.
UPDATE tasks SET slot = NULL WHERE execution_id = $1::uuid AND task_id = $2::uuid
