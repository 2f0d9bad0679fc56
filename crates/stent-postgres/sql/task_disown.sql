-- Ends the ownership of a task that others have ended.
-- Served by the primary key; leaves tasks_owned and tasks_nudged.
UPDATE tasks SET session_id = NULL, woken = false, slot = NULL WHERE execution_id = $1::uuid AND task_id = $2::uuid
