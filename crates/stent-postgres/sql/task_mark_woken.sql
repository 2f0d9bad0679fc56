-- Sets or clears the mark that something came for a running task.
-- Served by the primary key; enters or leaves tasks_nudged.
UPDATE tasks SET woken = $3::bool WHERE execution_id = $1::uuid AND task_id = $2::uuid AND woken <> $3::bool
