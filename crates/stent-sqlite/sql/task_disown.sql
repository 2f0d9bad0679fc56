-- Ends the ownership of a task that others have ended.
-- Served by the primary key; leaves tasks_owned and tasks_nudged.
UPDATE tasks SET session_id = NULL, woken = 0, slot = NULL WHERE execution_id = ?1 AND task_id = ?2
