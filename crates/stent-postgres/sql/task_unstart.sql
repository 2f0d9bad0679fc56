-- A task that has ended with the result of an equal call has never started: it is known by that.
-- Served by the primary key.
UPDATE tasks SET started_at = NULL WHERE execution_id = $1::uuid AND task_id = $2::uuid
